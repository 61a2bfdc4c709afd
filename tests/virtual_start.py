"""Sessions in virtual time for one test: each journal is recovered, replayed and compared at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from journal.recover import recover
from replay.replay import replay_session
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

STRATEGIES = Path(__file__).parent / "strategies"
Start = Callable[..., VirtualSession]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Yield a function that starts a session of the named strategies. At the end each journal is replayed."""
    started: list[VirtualSession] = []

    def begin(
        venue: VirtualVenue, *names: str, parameters: dict[str, Any] | None = None, **settings: Any
    ) -> VirtualSession:
        chosen = [
            strategy_settings(STRATEGIES / f"{name}.py", name.capitalize(), parameters=parameters if not place else {})
            for place, name in enumerate(names)
        ]
        name = "abcdefghij"[len(started)] * 8
        session = VirtualSession(venue, folder / name, strategies=chosen, session=name, **settings)
        started.append(session)
        return session

    yield begin
    for session in started:
        session.writer.wait_durable(session.records[-1].seq, 30)
        session.writer.abandon()
        recover(session.folder)
        verdict = replay_session(session.folder)
        assert verdict.identical, verdict.text()
