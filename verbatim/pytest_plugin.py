"""For a team's own tests: `captured_day`, `assert_same_intents`, and golden runs that `--verbatim-update` writes anew.

    def test_the_quoter_still_decides_as_it_did(captured_day, assert_same_intents):
        assert_same_intents(captured_day("journals/20260304T090000Z-7iutyca4"), "quoter.py:Quoter")

pytest loads it by itself where Verbatim is installed; it imports nothing of the engine until a test asks.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from replay.study.decisions import RecordedDecision

SHOWN = 20
UPDATE = "--verbatim-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("verbatim").addoption(
        UPDATE,
        action="store_true",
        help="Write the golden runs of assert_same_intents anew, in place of comparing with them.",
    )


class CapturedDay:
    """A recorded session, to hold versions of a strategy against. Nothing of it is changed, and no socket is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recorded(self) -> "list[RecordedDecision]":
        """What was decided when it was lived; nothing, where it was only recorded."""
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
        """What a version decides on it: `strategy` as path.py[@REVISION][:Class], `settings` as --set of verbatim resim."""
        from engine.session_record import read_session
        from journal.reader import Journal
        from replay.network_guard import no_sockets
        from replay.overrides import apply_overrides, with_strategy
        from replay.resim.resimulate import ResimOptions
        from replay.resim.venue_model import measure_latency
        from replay.study.trial import run_trial
        from verbatim.strategy_files import read_strategy

        journal = Journal.open(self.folder)
        body = read_session(journal.session_record().body or "")
        if strategy is not None:
            body = with_strategy(body, read_strategy(strategy))
        body = apply_overrides(body, dict(settings or {}))
        wanted = ResimOptions(
            session=body, model=measure_latency(journal).model, modelled=modelled, balances=dict(balances or {})
        )
        with no_sockets():
            return run_trial(self.folder, wanted).decisions


@pytest.fixture
def captured_day(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | Path], CapturedDay]:
    """`captured_day(path)`: a session's folder, or a bundle's file. Whoever made a bundle wrote the code that its session ran:
    it takes `trust_code=True`.
    """

    def day(path: str | Path, *, trust_code: bool = False) -> CapturedDay:
        from journal.bundle import unpack

        scratch = tmp_path_factory.mktemp("captured_day")
        if Path(path).is_file():
            if not trust_code:
                pytest.fail(
                    f"{path} is a bundle, which brings code of its own. What to do: captured_day(..., trust_code=True).",
                    pytrace=False,
                )
            unpack(Path(path), scratch / "bundle")
            return CapturedDay(scratch / "bundle")
        return CapturedDay(Path(path))

    return day


@pytest.fixture
def assert_same_intents(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`assert_same_intents(day, strategy, golden=FILE, ...)`: as it was recorded, or as the golden run has it. Else a diff."""
    update = bool(request.config.getoption(UPDATE))

    def same(
        day: CapturedDay, strategy: str | None = None, *, golden: str | Path | None = None, **given: object
    ) -> None:
        __tracebackhide__ = True  # the test's own line is where it failed
        from journal.errors import JournalError
        from replay.resim.sim_setup import CannotResimulateError
        from replay.study.decisions import changed_decisions, decision_diff_lines

        try:
            ours = day.decisions(strategy, **given)  # type: ignore[arg-type]  # its own keywords, and Python checks them
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
            again = "" if golden is None else f"\nIf this is meant: pytest {UPDATE}"
            pytest.fail(
                f"{len(different)} decisions changed\n" + "\n".join(decision_diff_lines(different, SHOWN)) + again,
                pytrace=False,
            )

    return same


def write_golden(path: Path, decisions: "Sequence[RecordedDecision]") -> None:
    """A line for each, that a person can read and git can compare."""
    from msgspec import json

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.encode(each) + b"\n" for each in decisions))


def read_golden(path: Path) -> "list[RecordedDecision]":
    from msgspec import MsgspecError, json

    from replay.study.decisions import RecordedDecision

    if not path.exists():
        pytest.fail(f"there is no golden run {path}. What to do: pytest {UPDATE} writes it.", pytrace=False)
    try:
        return [json.decode(line, type=RecordedDecision) for line in path.read_bytes().splitlines()]
    except MsgspecError as error:
        pytest.fail(
            f"the golden run {path} cannot be read: {error}. What to do: pytest {UPDATE} writes it anew.", pytrace=False
        )
