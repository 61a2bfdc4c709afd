"""The probes /health and /ready of the metrics server, over loopback and from real journals."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from test_metrics import caught_up, serving

from verbatim.health import HealthProbe
from verbatim.metrics_server import MetricsServer, MetricsService
from verbatim.testing import VirtualSession

ANY_AGE = HealthProbe(1e12)  # virtual time is months from the wall clock


def probe(server: MetricsServer, path: str) -> tuple[int, dict[str, Any]]:
    """Return status and body of an answer, by an HTTP client that knows nothing of us."""
    address = server.address.replace("/metrics", path)
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_session_that_trades_is_healthy_and_ready(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(2)
    with serving(MetricsService(caught_up(session), probe=ANY_AGE)) as server:
        for path in ("/health", "/ready"):
            code, found = probe(server, path)
            assert (code, found["status"], found["mode"], found["reasons"]) == (200, "ok", "running", [])
            assert (found["session"], found["is_alive"], found["ended"]) == ("aaaaaaaa", True, "")
    session.stop()


def test_a_halted_session_is_healthy_and_not_ready(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(2)
    session.command("halt", "to look").run(1)
    with serving(MetricsService(caught_up(session), probe=ANY_AGE)) as server:
        assert probe(server, "/health")[0] == 200
        code, found = probe(server, "/ready")
    assert (code, found["status"], found["mode"], found["reasons"]) == (503, "failing", "halted", ["halt_ordered"])
    assert (found["problems"], found["waits"]) == ([], ["the mode is halted"])
    session.stop()


def test_a_process_that_ended_fails_both(begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, or closed in order: in both cases nothing writes the session, and the body says how it ended."""
    monkeypatch.setattr("analysis.record_stream.LOCK_CHECK_S", 0.1)
    session = begin(CalmVenue(), "once").run(2)
    reader, noticed = caught_up(session), Event()
    with serving(MetricsService(reader, probe=ANY_AGE, on_news=lambda _: noticed.set())) as server:
        assert probe(server, "/health")[0] == 200
        session.kill()
        code, found = probe(server, "/health")
        assert (code, found["is_alive"]) == (503, False), "the lock shows it at once"
        assert noticed.wait(30)
        code, found = probe(server, "/ready")
        assert (code, found["ended"]) == (503, "stopped")
        assert found["problems"] == ["no process writes the session: stopped"]


def test_a_process_that_hangs_fails_by_the_age_of_its_newest_record(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(2)
    with serving(MetricsService(caught_up(session))) as server:
        code, found = probe(server, "/health")
    assert (code, found["is_alive"], found["mode"]) == (503, True, "running")
    assert found["problems"] == [f"no record for {found['last_record_age_s']:.1f} s"]
    session.stop()


def test_a_scaled_clock_is_not_compared_with_the_wall_clock(
    begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the reader's last record counts in its place."""
    session = begin(CalmVenue(), "once").run(1)
    reader = caught_up(session)
    monkeypatch.setattr(HealthProbe, "_has_scaled_clock", lambda *_: True)
    assert HealthProbe().measure(reader).is_healthy
    reader.close()
    session.stop()


def test_damage_is_not_healthy(start: CheckedSessions) -> None:
    session = start(CalmVenue(), "once").run(1)
    reader = caught_up(session)
    repair = damage(session)
    reader.follow()
    health = ANY_AGE.measure(reader)
    assert (health.is_healthy, health.is_alive) == (False, True)
    assert "durable" in health.problems[0]
    repair()
    session.stop()


def damage(session: VirtualSession) -> Callable[[], object]:
    """Write more records, and flip a bit in the first of them. Return a function that repairs it."""
    [path] = session.folder.glob("*.open")
    size = path.stat().st_size
    session.run(2)
    session.writer.wait_durable(session.records[-1].seq, 60)
    session.run(1)  # a later frame states that those before it are durable
    session.writer.wait_durable(session.records[-1].seq, 60)
    whole = path.read_bytes()
    path.write_bytes(whole[: size + 60] + bytes([whole[size + 60] ^ 1]) + whole[size + 61 :])
    return partial(path.write_bytes, whole)


def test_probes_are_for_this_machine_alone(begin: CheckedSessions, tmp_path: Path) -> None:
    session = begin(CalmVenue(), "once").run(1)
    with serving(MetricsService(caught_up(session))) as server:
        assert server.server_address[0] == "127.0.0.1"
        request = urllib.request.Request(server.address.replace("metrics", "health"), headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        assert refused.value.code == 403
        refused.value.close()
    session.stop()
