"""Writes tests/vectors/cryptofeed3.pcap.zst with the writer of cryptofeed 3 itself, from the lines of capture_lines.

    python3.13 tests/write_cryptofeed3.py FOLDER_OF_CRYPTOFEED

cryptofeed 3 needs a newer Python than this project, and packages that it does not need to write a file: of its wheel, only
`cryptofeed/capture` and `cryptofeed/_json.py` are loaded.
"""

import importlib
import json
import subprocess
import sys
import types
from itertools import islice
from pathlib import Path

from capture_lines import START_NS, STEP_NS, calm, opening, snapshot

VECTOR = Path(__file__).parent / "vectors" / "cryptofeed3.pcap.zst"
STREAM = "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker"
BOOK = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"


def main() -> None:
    for name in ("cryptofeed", "cryptofeed.capture"):  # without what their __init__ imports
        package = types.ModuleType(name)
        package.__path__ = [str(Path(sys.argv[1], *name.split(".")))]
        sys.modules[name] = package
    pcap = importlib.import_module("cryptofeed.capture.pcap")
    plain = VECTOR.with_suffix("")
    file = pcap.PcapFile(str(plain))
    first, _, *rest = opening()
    names = {pcap.META_CONN_ID: "BINANCE.ws.1", pcap.META_EXCHANGE: "BINANCE", pcap.META_ORDINAL: "1"}
    stream = pcap.WSStream(file, 40_000, START_NS, STREAM, names | {pcap.META_ADDRESS: STREAM})
    stream.sent(START_NS, '{"method":"SUBSCRIBE","id":1}')
    stream.message(START_NS + STEP_NS, json.dumps(first))
    asked = pcap.HTTPStream(file, 40_001, START_NS + STEP_NS, {pcap.META_CONN_ID: "BINANCE.http.0"})
    deep = snapshot(101, "100.00", "100.01")
    deep["bids"] += [[f"{99 - n * 0.01:.2f}", "1.00000000"] for n in range(4_000)]  # more than one segment of TCP
    asked.exchange(START_NS + 50 * STEP_NS, "GET", BOOK, json.dumps(deep))
    for number, event in enumerate([*rest, *islice(calm(), 20)], 2):
        stream.message(START_NS + 100 * STEP_NS * number, json.dumps(event))
    stream.close(START_NS + 5_000 * STEP_NS)
    file.close()
    subprocess.run(["zstd", "-19", "-q", "-f", "--rm", str(plain), "-o", str(VECTOR)], check=True)


if __name__ == "__main__":
    main()
