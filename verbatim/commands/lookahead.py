"""`verbatim lookahead`: check that no decision depends on later records, by replay/study/lookahead.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS
from verbatim.options import complete_file, journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.study_failures import study_failures
from verbatim.terminal import echo, echo_line

SHOWN = 10


@click.command("lookahead")
@session_argument()
@click.option(
    "--strategy",
    shell_complete=complete_file,
    metavar="FILE[:CLASS]",
    help="Decide with this strategy in place of the recorded one.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="risk.NAME, rule.NAME.SETTING, engine.NAME or strategy.NAME.PARAMETER.",
)
@click.option(
    "--balance",
    "balances",
    multiple=True,
    metavar="ASSET=AMOUNT",
    help="Opening balance of the account, where the session states none.",
)
@click.option("--cuts", default=5, show_default=True, type=click.IntRange(min=1), help="At how many records.")
@click.option(
    "--trust-code", is_flag=True, help="Run recorded strategies though they were not recorded on this machine."
)
@journals_option
@json_option
def command(
    *,
    session: str,
    strategy: str | None,
    settings: tuple[str, ...],
    balances: tuple[str, ...],
    cuts: int,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Resimulate SESSION whole, and again cut off at some records: decisions before a cut must be the same.

    Ends with 1 if a decision depends on later records.
    """
    import msgspec

    from replay.overrides import parse_settings
    from replay.study.decisions import decision_diff_lines
    from replay.study.lookahead import lookahead
    from verbatim.changed_session import changed_session
    from verbatim.strategy_files import read_strategy

    with study_failures():
        session_to_cut = changed_session(
            open_to_read(journals, session),
            strategy=None if strategy is None else read_strategy(strategy),
            settings=parse_settings(settings),
            balances=parse_settings(balances),
            needs_decisions=True,
            trust_code=trust_code,
        )
        with progress("resimulating", "runs") as shown:
            found = lookahead(
                session_to_cut.folder,
                session=session_to_cut.body,
                model=session_to_cut.model,
                cuts=cuts,
                balances=session_to_cut.balances,
                on_progress=shown.report,
            )
    if as_json:
        changed = msgspec.to_builtins(found.found)
        depends_at = found.found_at if found.found else None
        said = {"decisions": found.decisions, "cuts": found.cuts, "depends_at": depends_at, "changed": changed}
        echo(json.dumps(said | {"remembers": found.remembers}))
    elif found.found:
        echo(
            f"lookahead: without the records after {found.found_at} (+), "
            f"{len(found.found):,} earlier decisions differ (-)"
        )
        for line in decision_diff_lines(found.found, SHOWN):
            echo_line(f"  {line}")
    else:
        echo(
            f"lookahead: {found.decisions:,} decisions, cut at {len(found.cuts)} records: none depends on later records"
        )
    for line in () if as_json else found.remembers:
        echo_line(line)
    if found.found:
        raise SystemExit(DIFFERS)
