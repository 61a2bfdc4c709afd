"""verbatim demo: trade against a simulated venue, then replay it."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.options import complete_file
from verbatim.progress_line import progress
from verbatim.terminal import echo, make_console

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


@click.command("demo")
@click.option("--capture", type=click.Path(path_type=Path), help="Play this capture instead of the synthetic market.")
@click.option(
    "--speed", default=1, show_default=True, type=click.IntRange(1, 1000), help="Seconds of the market in one of ours."
)
@click.option("--seed", default=1, show_default=True, type=int, help="Of the synthetic market.")
@click.option(
    "--seconds",
    default=20.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Duration; a capture plays to its end.",
)
@click.option("--journals", type=click.Path(path_type=Path), default=Path("journals"), show_default=True)
@click.option(
    "--strategy",
    shell_complete=complete_file,
    default="",
    help="FILE:CLASS of a strategy of your own, instead of the examples.",
)
@click.option(
    "--transport",
    type=click.Choice(["standard", "fast"]),
    default="standard",
    show_default=True,
    help="The libraries that talk to the venue: trio-websocket and httpx, or leaner ones.",
)
@click.option("--http", type=click.Choice(["httpx", "direct"]), hidden=True, help="The old name of --transport.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--verbose", is_flag=True, help="Show the session's log.")
@click.option("--open", "opens", is_flag=True, help="Show the session in the browser while it runs; Ctrl-C ends that.")
@click.option("--no-status", is_flag=True, help="Draw no status line. It is drawn on a terminal only.")
def command(
    *, as_json: bool, verbose: bool, opens: bool, no_status: bool, transport: str, http: str | None, **options: object
) -> None:
    """Trade against a simulated venue, seal the session, replay it and compare.

    Ends with 0 only if the replay is identical.
    """
    import json

    from engine.live.logs import LogSettings, configure
    from engine.live.session_status import Summary
    from engine.live.transport.selection import TransportProfile
    from replay.replay import replay_session
    from verbatim.demo import DemoOptions, refuse_strategy, trade
    from verbatim.exit_codes import DIFFERS, FAILED, stop
    from verbatim.runner import exit_code, exit_for, run_or_stop, short_path, summary_json
    from verbatim.venue_sections import OLD_TRANSPORTS
    from verbatim.warmup import compile_first

    log = LogSettings(level="info" if verbose else "error")
    configure(level=log.level)
    console = make_console(stderr=True)
    profile = TransportProfile(transport) if http is None else OLD_TRANSPORTS[http]
    chosen = DemoOptions(transport=profile, status=not no_status, log=log, **options)  # type: ignore[arg-type]  # click has checked each
    try:
        refuse_strategy(chosen)
    except Exception as error:
        exit_for(error)
        raise
    compile_first(console)
    cockpit = start_cockpit(chosen.journals) if opens else None

    async def main() -> Summary:
        return await trade(chosen)

    summary = run_or_stop(main)
    try:
        with progress("replaying") as shown:
            verdict = replay_session(summary.folder, on_progress=shown.report)
    except KeyboardInterrupt:
        stop(f"interrupted during the replay; the session is in {short_path(summary.folder)}", FAILED)
    if as_json:
        echo(json.dumps({**summary_json(summary), "replay": "identical" if verdict.identical else "differs"}))
    else:
        for line in report(summary, verdict.text()):
            echo(line)
    if cockpit is not None:
        wait_for_cockpit(cockpit)
    if code := exit_code(summary):
        raise SystemExit(code)
    if not verdict.identical:
        raise SystemExit(DIFFERS)


def start_cockpit(journals: Path) -> "SpawnProcess":
    """Start the cockpit as a process that opens the browser. It ends with this process at the latest."""
    from multiprocessing import get_context

    from verbatim.commands.cockpit import serve

    journals.mkdir(parents=True, exist_ok=True)
    process = get_context("spawn").Process(target=serve, args=([], [journals]), kwargs={"opens": True}, daemon=True)
    process.start()
    return process


def wait_for_cockpit(cockpit: "SpawnProcess") -> None:
    """Let the cockpit show the finished session until Ctrl-C."""
    echo("the cockpit shows the session until Ctrl-C", err=True)
    with suppress(KeyboardInterrupt):
        cockpit.join()


def report(summary: object, verdict: str) -> list[str]:
    """Return the lines of the summary, the verdict, and commands to try next."""
    import shlex

    from engine.live.session_status import Summary
    from engine.state.positions import unvalued_text
    from verbatim.runner import headline, pnl_text, problems, short_path, typed_command

    assert isinstance(summary, Summary), summary
    last = summary.last
    lines = [
        *([click.style(text, fg="red", bold=True)] if (text := headline(summary)) else []),
        f"session  {last.session}  in {short_path(summary.folder)} ({summary.ended}: {summary.reason})",
        f"records  {last.records:,}; {last.messages:,} of them messages of the venue",
        f"orders   {last.orders:,}",
        f"fills    {last.fills:,}",
        f"time     {summary.shares.line}",
    ]
    for held in last.positions:
        name = held.instrument.partition(":")[2]
        lines.append(
            f"P&L      {held.pnl:+.4f}  {held.strategy} on {name}: realised {held.realised_pnl:+.4f}, "
            f"open {held.unrealised_pnl:+.4f}, fees {held.fees_quote:.4f}"
            f"{unvalued_text(held.fees_unvalued)}; holds {held.quantity.normalize():f}"
        )
    if text := pnl_text(last):
        lines.append(f"P&L      {text}")
    lines += problems(summary)
    lines += ["", verdict, "", "try next:"]
    folder = str(summary.folder.parent)
    where = "" if folder == "journals" else f" --journals {shlex.quote(folder)}"
    me = typed_command()
    lines += [
        f"  {me} cockpit{where}",
        f"  {me} verify {last.session}{where}",
        f"  {me} replay {last.session}{where} --strict",
        f"  {me} sql {last.session}{where} 'select * from fills'",  # noqa: S608 - a command shown to a person
        *([f"  {me} why {last.session}{where} {last.last_fill}"] if last.last_fill else []),
        f"  {me} ask {last.session}{where} --at {last.records // 2}",
        f"  {me} replay {last.session}{where} --set risk.order_notional_max=50",
    ]
    return lines
