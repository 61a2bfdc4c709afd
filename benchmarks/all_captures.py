"""Every capture of the shared data that holds a market, each instrument of each: its backtest in a row, or one line why not.

    python benchmarks/all_captures.py [--write] [--only NAME,NAME] [--folder FOLDER]

`--write` writes the table of docs/captures.md. `tests/test_captures_page.py` checks that the page lists every file, and some rows
again. Each group of files is one session, as a person would import them: the days of one market, the streams of one exchange.
"""

import argparse
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from engine.model import Instrument
from journal.reader import Journal
from replay.captured_market import read_markets
from verbatim.cli import main as verbatim_main

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("VERBATIM_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "captures.md"
BEGIN, END = "<!-- captures: written by benchmarks/all_captures.py --write -->\n", "<!-- /captures -->"
HEADER = (
    "| capture | files | venue | instrument | strategy | running | orders | fills |",
    "|---|---|---|---|---|---|---|---|",
)
FOLDERS = ("captures", "days")  # the other folders hold messages of accounts, answers and expected values
NO_CAPTURES = ("LICENSE",)
MONEY = "1000000"
VALUES = {"BTC": "0.01", "ETH": "0.1", "USD": "1000"}  # of an order, by the asset of its price; otherwise VALUE
VALUE, CONTRACT_VALUE = "100", "65000"  # an inverse contract is counted in contracts at a price in dollars


class Group(NamedTuple):
    """Files that are one session, and the words of their import."""

    name: str
    files: tuple[str, ...]  # below the data's folder
    words: tuple[str, ...] = ()


def groups() -> tuple[Group, ...]:
    """Return the captures of the shared data. A new file of an exchange of cryptofeed belongs to its group by its name."""
    binance = {
        "spot_btcusdt": ("spot_btcusdt_20240808.gz",),
        "spot_ethusdt": ("spot_ethusdt_20240808.gz",),
        "spot_both": ("spot_btcusdt_20240808.gz", "spot_ethusdt_20240808.gz"),
        "usdm_btcusdt_aug": ("usdm_btcusdt_20240808.gz",),
        "usdm_btcusdt_jul": ("usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"),  # the first has the snapshot
        "usdm_btcusdt_2023": ("usdm_btcusdt_20230404.dat.gz", "usdm_btcusdt_20230405.dat.gz"),
        "cm_btcusd_perp": ("cm_btcusd_perp_20240808.gz",),
    }
    minutes = ("minute_ibm_20131007_trade.zip", "minute_ibm_20131008_trade.zip")
    feeds = sorted(path.name for path in (DATA / "captures" / "cryptofeed").iterdir() if path.name not in NO_CAPTURES)
    exchanges = dict.fromkeys(name.partition(".")[0] for name in feeds)
    return (
        *(Group(name, tuple(f"captures/binance/{file}" for file in files)) for name, files in binance.items()),
        *(
            Group(
                f"cryptofeed {exchange}",
                tuple(f"captures/cryptofeed/{file}" for file in feeds if file.partition(".")[0] == exchange),
            )
            for exchange in exchanges
        ),
        Group("hyperliquid", ("captures/hyperliquid/btcusd_20250126.gz",)),
        Group(
            "kraken-v2",
            ("captures/kraken-v2/doge_usdt_book10.jsonl",),
            ("--format", "ndjson", "--time-unit", "none"),
        ),
        Group("IBM minutes", tuple(f"days/us-equity/{file}" for file in minutes)),
        *(
            Group(
                f"IBM ticks {day}", tuple(f"days/us-equity/tick_ibm_{day}_{table}.zip" for table in ("trade", "quote"))
            )
            for day in ("20131007", "20131008", "20131009")
        ),
        Group("SPY trades", ("days/us-equity/tick_spy_20131007_trade.zip",)),
    )


def captured_files() -> set[str]:
    """Return every file of the shared data that is a capture."""
    found = (path for folder in FOLDERS for path in (DATA / folder).rglob("*") if path.is_file())
    return {path.relative_to(DATA).as_posix() for path in found if not path.name.startswith(NO_CAPTURES)}


def rows_of(group: Group, folder: Path) -> Iterator[str]:
    """Yield the rows of a group: one for each instrument, or one with the reason of the refusal."""
    session = folder / re.sub(r"\W+", "_", group.name)
    files = "<br>".join(Path(file).name for file in group.files)
    _, said = _verbatim("import", *(DATA / file for file in group.files), *group.words, "--into", session)
    markets = read_markets(Journal.open(session)) if session.is_dir() else []
    if len(markets) != 1:
        if session.is_dir():
            _, said = _verbatim(*_words(session, None, folder))
        yield _row(group.name, files, "", "", f"refused: {_shortened(said, session)}", "", "", "")
        return
    (market,) = markets
    for instrument in market.instruments:
        strategy = _strategy(market.bar_interval_ns, instrument, folder)
        code, said = _verbatim(*_words(session, instrument, folder, strategy=strategy))
        if not said.startswith("{"):
            yield _row(
                group.name,
                files,
                market.venue,
                instrument.symbol,
                f"refused ({code}): {_shortened(said, session)}",
                "",
                "",
                "",
            )
            continue
        figures = json.loads(said)["resimulated"]
        shares = figures["shares"]
        running = shares["mode_ns"].get("running", 0) / max(shares["total_ns"], 1)
        yield _row(
            group.name, files, market.venue, instrument.symbol, strategy.stem,
            f"{100 * running:.1f} %", str(figures["placed"]), str(figures["fills"]),
        )  # fmt: skip
    for symbol, reason in market.refused:
        yield _row(group.name, files, market.venue, symbol, f"left out: {reason}", "", "", "")


def _strategy(bar_ns: int, instrument: Instrument, folder: Path) -> Path:
    """Return a file with the example strategy for this kind of market, for this instrument."""
    name = "bar_cross" if bar_ns else "quoter"
    text = (ROOT / "examples" / f"{name}.py").read_text("utf-8")
    declared = re.compile(r'instruments = \("[^"]+",\)')
    made = folder / ("strategy_" + re.sub(r"\W", "_", instrument.symbol)) / f"{name}.py"
    made.parent.mkdir(exist_ok=True)
    made.write_text(declared.sub(lambda _: f'instruments = ("{instrument.symbol}",)', text, count=1), "utf-8")
    return made


def _words(
    session: Path, instrument: Instrument | None, folder: Path, *, strategy: Path | None = None
) -> Iterable[object]:
    """Return the words of a backtest with money enough."""
    if instrument is None or strategy is None:
        return (
            "backtest",
            session,
            "--strategy",
            f"{ROOT / 'examples' / 'quoter.py'}:Quoter",
            "--no-journal",
            "--json",
        )
    name = strategy.stem
    sets = {"fast": "5", "slow": "20", "value": "10000"} if name == "bar_cross" else _sizes(instrument)
    assets = sorted({instrument.base, instrument.quote, instrument.margin} - {""})
    return (
        *("backtest", session, "--strategy", f"{strategy}:{'BarCross' if name == 'bar_cross' else 'Quoter'}"),
        *(word for asset in assets for word in ("--balance", f"{asset}={MONEY}")),
        *(word for key, value in sets.items() for word in ("--set", f"strategy.{name}.{key}={value}")),
        *("--no-journal", "--json", "--journals", folder),
    )


def _sizes(instrument: Instrument) -> dict[str, str]:
    value = CONTRACT_VALUE if instrument.inverse else VALUES.get(instrument.quote, VALUE)
    return {"value": value, "value_max": f"{10 * float(value):g}"}


def _verbatim(*words: object) -> tuple[int, str]:
    """Run a command in this process; return its exit code and its output, or its error."""
    ended = CliRunner().invoke(verbatim_main, [str(word) for word in words])
    return ended.exit_code, (ended.stdout or ended.stderr).strip().splitlines()[-1] if ended.output else ""


def _shortened(said: str, session: Path) -> str:
    """Return a refusal without the name of our folder."""
    return said.removeprefix("verbatim: ").replace(str(session), "it").replace("|", "\\|")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table into docs/captures.md")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="these groups alone")
    parser.add_argument("--folder", type=Path, help="keep the sessions here")
    options = parser.parse_args()
    chosen = [group for group in groups() if not options.only or group.name in options.only.split(",")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for group in chosen:
            for row in rows_of(group, folder):
                print(row, flush=True)
                rows.append(row)
    if options.write:
        write_page(rows)


def write_page(rows: Sequence[str]) -> None:
    """Write the table into its page. Rows of other captures stay."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    known = old.splitlines()[len(HEADER) :]
    names = {group.name for group in groups()}
    by_name = {name: [row for row in known if row.startswith(f"| {name} |")] for name in names}
    by_name |= {name: own for name in names if (own := [row for row in rows if row.startswith(f"| {name} |")])}
    table = [*HEADER, *(row for group in groups() for row in by_name[group.name])]
    PAGE.write_text(f"{before}{BEGIN}{chr(10).join(table)}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
