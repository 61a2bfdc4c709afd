"""pytest plugin: `captured_day`, `assert_same_intents`, and golden runs that `--verbatim-update` writes.

    def test_the_quoter_still_decides_as_it_did(captured_day, assert_same_intents):
        assert_same_intents(captured_day("journals/20260304T090000Z-7iutyca4"), "quoter.py:Quoter")

pytest loads it in every environment that has Verbatim; it imports nothing of ours until a test uses a fixture.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verbatim import check_packages

if TYPE_CHECKING:
    from analysis.session import Session
    from replay.study.decisions import RecordedDecision

SHOWN = 20
UPDATE = "--verbatim-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--verbatim-update`."""
    parser.getgroup("verbatim").addoption(
        UPDATE,
        action="store_true",
        help="Write the golden runs of assert_same_intents instead of comparing with them.",
    )


class CapturedDay:
    """A recorded session to compare strategy versions on. It is only read, and no socket is opened."""

    def __init__(self, session: "Session") -> None:
        self.session = session  # its tables, state and causes (docs/python-api.md)
        self.folder = session.folder

    def recorded(self) -> "list[RecordedDecision]":
        """Return the decisions of the recorded session; none for a recording without a strategy."""
        check_packages()
        from replay.study.decisions import session_decisions

        return session_decisions(self.folder, as_source=True)

    def decisions(
        self,
        strategy: str | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        balances: Mapping[str, str] | None = None,
        modelled: bool = False,
    ) -> "list[RecordedDecision]":
        """Return the decisions of a version on this session.

        Args:
            strategy: path.py[@REVISION][:Class]. Default: the recorded one.
            settings: values as of `verbatim resim --set`.
            balances: opening balances, where the session states none.
            modelled: use the simulated venue from the first request on.
        """
        check_packages()
        from journal.reader import Journal
        from replay.network_guard import no_sockets
        from replay.overrides import apply_overrides, with_strategy
        from replay.resim.measured_latency import measure_latency
        from replay.resim.resimulate import ResimOptions
        from replay.study.trial import run_trial
        from verbatim.session_lookup import session_in
        from verbatim.strategy_files import read_strategy

        journal = Journal.open(self.folder)
        body = session_in(self.folder)
        if strategy is not None:
            body = with_strategy(body, read_strategy(strategy))
        body = apply_overrides(body, dict(settings or {}))
        wanted = ResimOptions(
            session=body, model=measure_latency(journal).model, modelled=modelled, balances=dict(balances or {})
        )
        with no_sockets():
            return run_trial(self.folder, wanted).decisions


@pytest.fixture
def captured_day() -> Callable[[str | Path], CapturedDay]:
    """Return `captured_day(path)`, which opens a session's folder, a bundle or an archive, as `verbatim.open` does.

    A bundle or an archive carries code of its maker, so it needs `trust_code=True`.
    """

    def day(path: str | Path, *, trust_code: bool = False) -> CapturedDay:
        check_packages()
        from journal.session_names import is_address
        from verbatim.session_lookup import is_file
        from verbatim.session_opening import open as open_session

        if not trust_code and (is_file(str(path)) or is_address(str(path))):
            what = "a bundle" if is_file(str(path)) else "an archive"
            pytest.fail(
                f"{path} is {what}, with code of its maker. What to do: captured_day(..., trust_code=True).",
                pytrace=False,
            )
        return CapturedDay(open_session(path))

    return day


@pytest.fixture
def assert_same_intents(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return `assert_same_intents(day, strategy, golden=FILE, ...)`, which fails with a diff of the decisions."""
    update = bool(request.config.getoption(UPDATE))

    def same(
        day: CapturedDay, strategy: str | None = None, *, golden: str | Path | None = None, **given: object
    ) -> None:
        __tracebackhide__ = True  # pytest shows the line of the test
        from journal.errors import JournalError
        from replay.resim.sim_setup import CannotResimulateError
        from replay.study.decisions import changed_decisions, decision_diff_lines

        try:
            ours = day.decisions(strategy, **given)  # type: ignore[arg-type]  # keywords of `decisions`, which Python checks
        except (JournalError, CannotResimulateError) as error:
            pytest.fail(str(error), pytrace=False)
        if golden is None:
            expected = day.recorded()
        elif update:
            write_golden(Path(golden), ours)
            return
        else:
            expected = read_golden(Path(golden))
        if different := changed_decisions(expected, ours):
            again = "" if golden is None else f"\nIf this is intended: pytest {UPDATE}"
            pytest.fail(
                f"{len(different)} decisions changed\n" + "\n".join(decision_diff_lines(different, SHOWN)) + again,
                pytrace=False,
            )

    return same


def write_golden(path: Path, decisions: "Sequence[RecordedDecision]") -> None:
    """Write one JSON line per decision."""
    from msgspec import json

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.encode(decision) + b"\n" for decision in decisions))


def read_golden(path: Path) -> "list[RecordedDecision]":
    """Read a golden run, or fail the test with the command that writes one."""
    from msgspec import MsgspecError, json

    from replay.study.decisions import RecordedDecision

    if not path.exists():
        pytest.fail(f"there is no golden run {path}. What to do: pytest {UPDATE} writes it.", pytrace=False)
    try:
        return [json.decode(line, type=RecordedDecision) for line in path.read_bytes().splitlines()]
    except MsgspecError as error:
        pytest.fail(
            f"the golden run {path} cannot be read: {error}. What to do: pytest {UPDATE} writes it again.",
            pytrace=False,
        )
