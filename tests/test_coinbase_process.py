"""The simulated Coinbase as a process: `verbatim check` reads it with a key, and `verbatim record` keeps its streams."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_cli_live import environment, verbatim
from warm_processes import VENUE, WarmProcess

from engine.sim.coinbase import DEMO_KEY
from journal.reader import Journal
from journal.record import Kind
from journal.sessions import list_sessions
from journal.verify import verify
from replay.replay import replay_session

TOML = """
instruments = ["BTC-USD", "ETH-USD"]

[venue]
name = "engine.venues.coinbase:Coinbase"
rest = "{http}"
stream = "{ws}"
private = "{ws}"

[session]
journals = "{journals}"
free_mib_min = 0
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with WarmProcess([*VENUE, json.dumps({"kind": "coinbase"})], stdout=subprocess.PIPE, text=True, env=environment()) as process:  # fmt: skip
        try:
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            yield str(ready["listening"])
        finally:
            process.terminate()


def written(folder: Path, address: str) -> Path:
    path = folder / "coinbase.toml"
    streams = address.replace("http", "ws", 1)
    path.write_text(TOML.format(http=address, ws=streams, journals=folder / "journals"), encoding="utf-8")
    return path


@pytest.mark.slow
def test_check_reads_clock_products_streams_key_and_its_rights(tmp_path: Path, address: str) -> None:
    config = written(tmp_path, address)
    name, secret = DEMO_KEY
    ended = verbatim("check", config, "--json", VERBATIM_API_KEY=name, VERBATIM_API_SECRET=secret)
    checks = {line["name"]: line for line in map(json.loads, ended.stdout.splitlines())}
    assert {line["status"] for line in checks.values()} == {"ok"}, checks
    assert checks["key rights"]["text"] == "reads, trades"
    assert checks["account stream"]["text"].endswith("accepts the subscription")
    wrong = "A" * 43 + "="
    ended = verbatim("check", config, "--json", VERBATIM_API_KEY=name, VERBATIM_API_SECRET=wrong)
    checks = {line["name"]: line for line in map(json.loads, ended.stdout.splitlines())}
    assert (checks["market stream"]["status"], checks["key"]["status"]) == ("ok", "fail")
    assert "refuses the key" in checks["key"]["text"]


@pytest.mark.slow
def test_record_keeps_numbered_streams_that_replay_identically(tmp_path: Path, address: str) -> None:
    config = written(tmp_path, address)
    ended = verbatim("record", config, "--duration", "3")
    assert ended.returncode == 0, ended.stderr
    (session,) = list_sessions(tmp_path / "journals")
    assert verify(session.path).ok
    assert replay_session(session.path).identical
    frames = [json.loads(r.payload or b"") for r in Journal.open(session.path).records() if r.kind is Kind.FEED and r.meta is None]  # fmt: skip
    assert [frame["sequence_num"] for frame in frames] == list(range(len(frames)))
    assert {frame["channel"] for frame in frames} == {"subscriptions", "heartbeats", "market_trades", "l2_data"}
    quality = verbatim("quality", session.path, "--json")
    streams = json.loads(quality.stdout)["streams"]
    assert [each["gaps"] for each in streams] == [0] * len(streams)
