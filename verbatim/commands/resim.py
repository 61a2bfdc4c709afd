"""`verbatim resim`: decide a session again with another version, parameter or limit, by replay/resim/resimulate.py."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import HALTED, STOPPED
from verbatim.options import complete_file, journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.study_failures import study_failures
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from analysis.session_tear_sheet import SessionTearSheet
    from engine.live.session_config import SessionConfig
    from engine.sim.venue_model import VenueModel
    from journal.progress import Progress
    from replay.resim.measured_latency import MeasuredLatency
    from replay.resim.resimulate import ResimOptions
    from replay.study.tear_sheet import TearSheetReader
    from replay.study.trial import Trial

DIFFS_SHOWN = 10


@click.command("resim")
@session_argument()
@click.option(
    "--strategy",
    shell_complete=complete_file,
    metavar="FILE[:CLASS]",
    help="Decide with this strategy in place of the recorded one.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Decide as `run` with this configuration: its strategies, limits and settings, and the money and model of "
    "[paper]. All is modelled.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="risk.NAME, rule.NAME.SETTING, engine.NAME or strategy.NAME.PARAMETER.",
)
@click.option(
    "--from",
    "from_seq",
    metavar="SEQ",
    type=click.IntRange(min=1),
    help="Ask no strategy before this record; the market before it is given, and all is modelled.",
)
@click.option(
    "--until", "until_seq", metavar="SEQ", type=click.IntRange(min=1), help="Let it know nothing behind this record."
)
@click.option("--modelled", is_flag=True, hidden=True, help="The old spelling of `verbatim backtest`.")
@click.option(
    "--model",
    "model_settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the simulated venue: request_ms, answer_ms, feed_ms, venue_ms, fee_maker, fee_taker, fee_tiers, latency, "
    "latency_sigma, queue, queue_n, fills, clock, quotes, half_spread, volume_share, limit_fills (docs/fidelity.md). "
    "Default: measured latency.",
)
@click.option(
    "--balance",
    "balances",
    multiple=True,
    metavar="ASSET=AMOUNT",
    help="Opening balance of the account, where the session states none.",
)
@click.option(
    "--exchange-info",
    type=click.Path(path_type=Path),
    help="Of a capture: a file with the venue's answer to exchangeInfo, in place of the capture's own.",
)
@click.option(
    "--quote-asset",
    "quote_assets",
    multiple=True,
    metavar="SYMBOL=ASSET",
    help="Of a capture without metadata: the asset in which a symbol is quoted, where its name does not show it.",
)
@click.option(
    "--warm-up",
    shell_complete=complete_file,
    metavar="FILE|SESSION",
    help="Bars from before the session, for strategies with a WarmUp: of a file, a session or a capture.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="The new folder of its journal; else one in resims, beside the journals.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the tear sheet as a page: charts, trades, prices with fills.",
)
@click.option(
    "--orders-in-fold",
    is_flag=True,
    help="Run the orders of a strategy, and its `decide_fold`, as machine code (docs/fold-orders.md). The ordinary way "
    "writes the journal, and must agree.",
)
@click.option("--no-journal", is_flag=True, help="Only print the summary, which takes half the time.")
@click.option(
    "--trust-code", is_flag=True, help="Run recorded strategies though they were not recorded on this machine."
)
@journals_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def command(
    *,
    session: str,
    strategy: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    from_seq: int | None,
    until_seq: int | None,
    modelled: bool,
    model_settings: tuple[str, ...],
    balances: tuple[str, ...],
    exchange_info: Path | None,
    quote_assets: tuple[str, ...],
    warm_up: str | None,
    into: Path | None,
    html: Path | None,
    orders_in_fold: bool,
    no_journal: bool,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Resimulate SESSION with a change: exact up to the first request that differs, modelled from there.

    SESSION is a path, an id, a bundle or the address of an archive, which is fetched. A recording or an imported
    capture needs --strategy, and is modelled from the start. The result is a new journal that every command reads; its
    path is the last line.
    """
    if from_seq is not None and until_seq is not None and until_seq < from_seq:
        raise click.UsageError("--until is before --from")
    if config is not None and strategy is not None:
        raise click.UsageError("--config names its strategies, so --strategy has no place")
    if no_journal and into is not None:
        raise click.UsageError("--no-journal writes nothing, so there is nothing to put --into a folder")
    if html is not None and not html.absolute().parent.is_dir():
        raise click.UsageError(f"--html: there is no folder {html.parent}")
    from engine.sim.venue_model import UnknownSettingError
    from replay.network_guard import no_sockets
    from replay.overrides import parse_settings
    from replay.resim.resimulate import ResimOptions
    from replay.study.tear_sheet import TearSheetReader
    from replay.study.trial import run_trial
    from verbatim.backtesting import new_resim_folder
    from verbatim.changed_session import changed_session
    from verbatim.folded_run import run_in_fold
    from verbatim.strategy_files import read_strategy
    from verbatim.warm_up_source import read_candles
    from verbatim.warmup import compile_if_new

    with study_failures():
        opened = open_to_read(journals, session)
        compile_if_new()
        changed = changed_session(
            opened,
            strategy=None if strategy is None else read_strategy(strategy),
            configured=_read_configuration(config),
            settings=parse_settings(settings),
            model=parse_settings(model_settings),
            balances=parse_settings(balances),
            exchange_info=exchange_info,
            quote_assets=parse_settings(quote_assets),
            trust_code=trust_code,
        )
        folder, journal = changed.folder, changed.journal
        if (last := max(from_seq or 0, until_seq or 0)) > journal.last_seq:
            raise UnknownSettingError(f"{folder} has no record {last:,}: its last is {journal.last_seq:,}")
        part = [f"{word} record {seq}" for word, seq in (("from", from_seq), ("until", until_seq)) if seq is not None]
        with no_sockets():
            wanted = ResimOptions(
                session=changed.body,
                model=changed.model,
                modelled=modelled or from_seq is not None or config is not None,
                from_seq=from_seq or 0,
                until_seq=until_seq,
                balances=changed.balances,
                marks=not no_journal,
                history=None if warm_up is None else read_candles(warm_up, journals),
                changes=(
                    *([f"strategy {strategy}"] if strategy else []),
                    *([f"configuration {config.name}"] if config else []),
                    *([f"warm-up {warm_up}"] if warm_up else []),
                    *settings,
                    *part,
                    *changed.notes,
                ),
            )
            if orders_in_fold:
                journal_folder = None if no_journal else into or new_resim_folder(journals)
                run_in_fold(journal, wanted, journal_folder, has_page=html is not None, as_json=as_json)
                return
            reader = TearSheetReader()
            with progress("resimulating", "s of the session") as line:
                tried = (
                    run_trial(folder, wanted, line.report, more_readers=[reader])
                    if no_journal
                    else _written(folder, into or new_resim_folder(journals), wanted, line.report)
                )
        sheet = _tear_sheet(tried, reader if no_journal else None) if wanted.modelled or html is not None else None
        _print_result(
            folder,
            tried,
            changed.model,
            changed.measured,
            ", ".join(part),
            notes=changed.notes,
            sheet=sheet,
            as_json=as_json,
        )
        if html is not None and sheet is not None:
            sheet.write(html)
            echo(f"tear sheet: {html}", err=as_json)
        if tried.outcome.folder != folder and not as_json:
            echo(str(tried.outcome.folder))
        if tried.performance.shares is not None and tried.performance.shares.is_halted:
            raise SystemExit(HALTED)
        if tried.performance.stopped:
            raise SystemExit(STOPPED)


def _read_configuration(path: Path | None) -> "SessionConfig | None":
    if path is None:
        return None
    from verbatim.configured_session import read_for_backtest

    return read_for_backtest(path)


def _written(folder: Path, into: Path, wanted: "ResimOptions", on_progress: "Progress") -> "Trial":
    """Resimulate into a journal, and read the result from it."""
    from replay.resim.resimulate import resimulate
    from replay.study.decisions import session_decisions
    from replay.study.performance import session_performance
    from replay.study.trial import Trial

    outcome = resimulate(folder, into, wanted, on_progress)
    return Trial(outcome, session_performance(outcome.folder), session_decisions(outcome.folder))


def _tear_sheet(tried: "Trial", reader: "TearSheetReader | None") -> "SessionTearSheet":
    """Return the tear sheet of the new journal; without one, that of the trial's records, which lacks prices."""
    from analysis.session import Session
    from analysis.session_tables import SessionPlace
    from analysis.session_tear_sheet import SessionTearSheet

    if reader is not None:
        return SessionTearSheet(reader.sheet())
    return Session([SessionPlace(tried.outcome.folder)]).tear_sheet()


def _print_result(
    folder: Path,
    tried: "Trial",
    model: "VenueModel",
    measured: "MeasuredLatency",
    part: str,
    *,
    notes: tuple[str, ...],
    sheet: "SessionTearSheet | None",
    as_json: bool,
) -> None:
    """Print the result; `part` names the part of the session that was used, if not all of it."""
    import msgspec

    from replay.study.decisions import changed_decisions, decision_diff_lines, session_decisions
    from replay.study.performance import session_performance, side_by_side

    outcome, after = tried.outcome, tried.performance
    other = changed_decisions([] if part else session_decisions(folder, as_source=True), tried.decisions)
    if as_json:
        said = msgspec.to_builtins(outcome, enc_hook=str) | {
            "modelled": outcome.modelled,
            "model": model.settings(),
            "measured_in": measured.round_trips,
            "given": measured.given(model),
            "inferred": notes,
            "resimulated": msgspec.to_builtins(after),
        }
        said |= {} if sheet is None else {"tear_sheet": sheet.as_json()}
        echo(
            json.dumps(
                said
                | (
                    {"decisions": len(other)}
                    if part
                    else {"recorded": msgspec.to_builtins(session_performance(folder)), "decisions_changed": len(other)}
                )
            )
        )
        return
    name = click.get_current_context().info_name  # resim or backtest
    echo(f"{name}: {outcome.records:,} records, {outcome.exactness}{', ' if part else ''}{part}")
    if outcome.modelled:
        echo(model.text(measured.origin(model)))
    for note in (*notes, *outcome.remembers):
        echo_line(note)
    if not outcome.balances_known:
        echo("balances: as given, since the session states none")
    if after.shares is not None:
        echo(f"time {after.shares.line}")
    for line in (*after.troubles, *([] if part else side_by_side(session_performance(folder), after))):
        echo_line(line)
    echo(
        f"{'decisions' if part else 'decisions changed'}: {len(other):,}"
        f"{', the last of them:' if part and len(other) > DIFFS_SHOWN else ''}"
    )
    for line in decision_diff_lines(
        other[-DIFFS_SHOWN:] if part else other, DIFFS_SHOWN, with_seqs=not part or outcome.folder != folder
    ):
        echo_line(f"  {line}")
    if sheet is not None:
        echo(f"\n{sheet}")
