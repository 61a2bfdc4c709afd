"""verbatim run: a session live from a configuration file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.options import complete_file, log_options
from verbatim.terminal import echo, echo_line, make_console

if TYPE_CHECKING:
    from engine.live.session_config import StartPlan
    from engine.live.session_status import Summary


@click.command("run")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--journals", type=click.Path(path_type=Path), help="Folder of the journals; overrides the configuration."
)
@click.option(
    "--warm-up",
    shell_complete=complete_file,
    metavar="FILE|SESSION",
    help="Bars from before the session, for strategies with a WarmUp, in place of the venue's; overrides "
    "session.warm_up.",
)
@click.option(
    "--paper",
    is_flag=True,
    help='Trade on paper, as session.account = "paper" does: no key is read, and no order leaves this process.',
)
@click.option("--dry-run", is_flag=True, help="Read the account, record intents and verdicts, and send nothing.")
@log_options
@click.option("--no-status", is_flag=True, help="Draw no status line. It is drawn on a terminal only.")
@click.option("--json", "as_json", is_flag=True, help="Logs and the summary as JSON lines.")
def command(
    config: Path,
    *,
    journals: Path | None,
    warm_up: str | None,
    paper: bool,
    dry_run: bool,
    log_form: str | None,
    log_level: str | None,
    no_status: bool,
    as_json: bool,
) -> None:
    """Run a session live from CONFIG, a TOML file. SIGINT, SIGTERM or SIGHUP ends it in order; a second one at once.

    A configuration without strategies watches the account, and sends nothing; a key that can only read is enough.
    """
    import dataclasses

    from engine.live.logs import configure
    from engine.live.session_status import Summary
    from verbatim.config import on_paper, read_config, read_keys, require_limits, session_config, venues_of
    from verbatim.run_mark import marked_run
    from verbatim.runner import StatusLine, exit_code, exit_for, run_or_stop, run_session_config
    from verbatim.start_report import report_start
    from verbatim.warm_up_source import with_warm_up
    from verbatim.warmup import compile_first

    configure(level=log_level or "info", json_lines=as_json)
    console = make_console(stderr=True)
    with marked_run(journals) as mark:
        try:
            settings = on_paper(read_config(config)) if paper else read_config(config)
            accounts = {each.settings.name: each.alias for each in venues_of(settings) if each.alias}
            mark.identify(journals or settings.session.journals, accounts)
            keys = read_keys(settings, base=config.parent)
            chosen = session_config(settings, keys=keys, base=config.parent, dry_run=dry_run)
            require_limits(chosen)
        except Exception as error:
            exit_for(error)
            raise
        log = settings.log.settings(form="json" if as_json else log_form, level=log_level)
        configure(level=log.level, json_lines=log.json_lines)
        if journals is not None:
            chosen = dataclasses.replace(chosen, journals=journals)
        # before `with_warm_up`: reading bars out of a session decodes its frames
        settled = (each.settings for each in chosen.venues)
        compile_first(console, *settled, with_books=chosen.paper is not None)
        try:
            chosen = with_warm_up(chosen, settings.session.warm_up if warm_up is None else warm_up)
        except Exception as error:
            exit_for(error)
            raise

        def on_open(plan: "StartPlan") -> None:
            report_start(plan, as_json=log.json_lines)
            mark.remove()

        async def main() -> Summary:
            with StatusLine(is_wanted=not (no_status or log.json_lines)) as status:
                return await run_session_config(chosen, on_status=status, on_open=on_open, log=log)

        summary = run_or_stop(main)
    _print_summary(summary, as_json=as_json)
    if code := exit_code(summary):
        raise SystemExit(code)


def _print_summary(summary: "Summary", *, as_json: bool) -> None:
    import json

    from journal.printable import counted
    from verbatim.runner import headline, pnl_text, problems, short_path, summary_json

    if as_json:
        echo(json.dumps(summary_json(summary)))
        return
    last = summary.last
    if text := headline(summary):
        echo_line(text, fg="red", bold=True)
    echo_line(
        f"session {last.session}: {counted(last.records, 'record')}, {counted(last.orders, 'order')}, "
        f"{counted(last.fills, 'fill')}; "
        f"{summary.ended}: {summary.reason}; {short_path(summary.folder)}"
    )
    echo(f"time {summary.shares.line}")
    if text := pnl_text(last):
        echo_line(f"P&L {text}")
    for problem in problems(summary):
        echo_line(problem, fg="red", bold=True)
