"""Frames a second of the cockpit's page in headless Chromium with software rendering, while the price panel is panned.

    python benchmarks/cockpit_frames.py FOLDER [--zoom 5] [--frames 240] [--width 1440] [--height 900]

The page moves the pointer by itself once a frame, so no message between processes is measured. `processor` is the time
that all processes of the browser spent for one frame: it says more than the rate if the machine is loaded.
"""

import argparse
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
PAN = """async ({ frames }) => {
  const canvas = document.querySelector('.plots canvas'), box = canvas.getBoundingClientRect();
  const point = (type, x) => canvas.dispatchEvent(new PointerEvent(type, {
    clientX: box.left + x, clientY: box.top + 60, pointerId: 1, button: 0, bubbles: true }));
  canvas.setPointerCapture = () => {};
  const middle = box.width / 2, times = [];
  point('pointerdown', middle);
  for (let at = 0; at < frames; at++) {
    const now = await new Promise(requestAnimationFrame);
    times.push(now);
    point('pointermove', middle + 200 * Math.sin(at / 20));
  }
  point('pointerup', middle);
  return times;
}"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--zoom", type=int, default=5, help="times that the range is halved")
    options.add_argument("--frames", type=int, default=240)
    options.add_argument("--width", type=int, default=1440)
    options.add_argument("--height", type=int, default=900)
    given = options.parse_args()
    command = [sys.executable, "-P", "-m", "verbatim", "cockpit", str(given.folder), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        chromium = os.environ.get("VERBATIM_CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": given.width, "height": given.height})
        page.goto(address)
        page.locator('[aria-label="sessions"] tbody tr.pick').first.click()
        page.locator(".plots canvas").wait_for(timeout=60_000)
        for _ in range(given.zoom):
            page.keyboard.press("+")
        page.wait_for_timeout(2_000)
        page.evaluate(PAN, {"frames": 30})
        own = server.pid
        before = _processor_seconds(own)
        times = page.evaluate(PAN, {"frames": given.frames})
        spent = _processor_seconds(own) - before
        gaps = sorted(later - sooner for sooner, later in pairwise(times))
        rate = 1000 * len(gaps) / sum(gaps)
        print(f"{rate:.1f} frames a second; worst frame {gaps[-1]:.0f} ms, median {gaps[len(gaps) // 2]:.1f} ms;")
        print(f"processor {1000 * spent / len(times):.1f} ms a frame; load {os.getloadavg()[0]:.1f}")
        browser.close()
        server.terminate()


def _processor_seconds(server: int) -> float:
    """Return the processor time of our descendants but the cockpit's server: the browser's processes."""
    parents, ticks = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)], ticks[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    total = 0
    for pid, spent in ticks.items():
        line = [pid]
        while line[-1] in parents:
            line.append(parents[line[-1]])
        if os.getpid() in line[1:] and server not in line:
            total += spent
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
