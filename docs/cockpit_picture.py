"""Take the pictures of the cockpit in README and site: a session in Debian's Chromium, as a PNG of few colours.

    verbatim demo --capture spot_btcusdt_20240808.gz
    python docs/cockpit_picture.py journals/SESSION docs/cockpit.png
    python docs/cockpit_picture.py journals/SESSION docs/cockpit-dark.png --dark

Needs the extras `cockpit` and `test`, and Chromium.
"""

import argparse
import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZE = {"width": 1440, "height": 900}
RANGE = "from=20000000000&to=60000000000&time=40000000000&side=why&tab=orders"  # ns since the session's first record
SETTLE_MS = 2_000  # the panels draw when their answers arrive
COLOURS = 128

Pixels = npt.NDArray[np.uint8]


def screenshot(session: Path, scheme: str) -> bytes:
    """Return the PNG of the cockpit with 40 seconds of a session, at the first fill after their middle.

    Args:
        session: The folder of the session.
        scheme: The colours: `light` or `dark`.
    """
    command = [sys.executable, "-P", "-m", "verbatim", "cockpit", str(session), "--port", "0", "--read-only", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:  # noqa: S603 - our own command
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()  # type: ignore[arg-type]  # a TypedDict of theirs
        page.goto(address)
        name = session.name.rpartition("-")[2]
        page.goto(f"{address.partition('/?')[0]}/#/s/{name}?{RANGE}")
        page.locator('[aria-label="orders"] tbody tr').first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        page.keyboard.press("f")
        page.get_by_role("list", name=re.compile("chain of causes")).get_by_text("INTENT").first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        picture = page.screenshot()
        browser.close()
        server.terminate()
    return picture


def read_png(data: bytes) -> Pixels:
    """Return the pixels of a PNG of 8-bit RGB, as browsers write it: rows, columns, colours."""
    width, height = struct.unpack(">II", data[16:24])
    packed, at = b"", 8
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    stride = 3 * width
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + stride)
    above = [0] * stride
    rows = []
    for line in lines.tolist():
        above = unfiltered(line[0], line[1:], above)
        rows.append(above)
    return np.array(rows, np.uint8).reshape(height, width, 3)


def unfiltered(method: int, line: list[int], above: list[int]) -> list[int]:
    """Return a line of pixels from its differences to the pixels left of it and above it (PNG, 9.2)."""
    row = [0] * len(line)
    for x, value in enumerate(line):
        left, corner = (row[x - 3], above[x - 3]) if x >= 3 else (0, 0)
        guess = (0, left, above[x], (left + above[x]) // 2, nearest(left, above[x], corner))[method]
        row[x] = (value + guess) & 255
    return row


def nearest(left: int, above: int, corner: int) -> int:
    """Return the neighbour that is nearest to left + above - corner."""
    guess = left + above - corner
    return min((left, above, corner), key=lambda neighbour: abs(guess - neighbour))


def with_palette(pixels: Pixels) -> bytes:
    """Return a PNG with a palette of the colours that matter: frequent ones, and those far from all others."""
    height, width, _ = pixels.shape
    colours, index, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    points = colours.astype(np.int64)
    chosen = [int(np.argmax(counts))]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < COLOURS and distance.any():
        chosen.append(int(np.argmax(distance * np.sqrt(counts))))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    palette = points[chosen]
    entries = np.array([((palette - point) ** 2).sum(1).argmin() for point in points], np.uint8)
    lines = np.hstack([np.zeros((height, 1), np.uint8), entries[index.reshape(height, width)]])
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def main() -> None:
    """Write the picture that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path, help="folder of the session")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    given = parser.parse_args()
    given.picture.write_bytes(with_palette(read_png(screenshot(given.session, "dark" if given.dark else "light"))))


if __name__ == "__main__":
    main()
