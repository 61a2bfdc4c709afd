"""`record` takes the market streams of every built-in venue: each is recorded from a loopback server that sends its messages.

The server knows no venue. It answers each request with the description of instruments and sends the public messages that
are the venue's vectors (tests/vectors) over each websocket.
"""

import json
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest
import trio
from transport_server import TEXT, Peer, accepted, answer, frame, serve

from engine.requests import LinkRole
from engine.session_record import VenueSettings
from engine.venues.polling import is_polled
from engine.venues.venue_lookup import installed_venues, make_venue
from journal.reader import Journal
from journal.record import Kind
from journal.verify import verify
from replay.replay import replay_session
from verbatim.config import make_config, recording_config, with_market_keys
from verbatim.recorder import Recorder
from verbatim.warmup import warm

VECTORS = Path(__file__).parent / "vectors"
FRAMES_MIN = 10
NONE = {  # venues without market streams, and why
    "binance_spot_polled": "its market is polled",
    "neutral": "it reads imported tables, and has no address",
    "paper_coinm": "a model in this process, of a recorded market",
    "paper_usdm": "a model in this process, of a recorded market",
}


def streaming_venues() -> list[str]:
    """Return the venues whose market comes over websockets of the venue's own network."""
    made = {name: make_venue(VenueSettings(name=name), ()) for name in installed_venues()}
    reached = {name: venue for name, venue in made.items() if any(each.rest for each in venue.endpoints.values())}
    return [name for name, venue in reached.items() if not is_polled(venue, LinkRole.MARKET)]


def test_each_venue_has_streams_or_a_reason() -> None:
    assert {*installed_venues()} <= {*streaming_venues(), *NONE}
    assert NONE.keys().isdisjoint(streaming_venues())


async def serve_streams(peer: Peer, *, metadata: bytes, frames: list[bytes]) -> None:
    """Answer each request with the metadata, and send the frames over and over on a websocket."""
    while head := await peer.head():
        if b"upgrade: websocket" in head.lower():
            await peer.send(accepted(head))
            for payload in cycle(frames):
                await peer.send(frame(TEXT, payload))
                await trio.sleep(0.02)
        await peer.send(answer(metadata, "Content-Type: application/json"))


@pytest.mark.parametrize("name", streaming_venues())
async def test_the_streams_of_each_venue_are_recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm()
    credentials = VECTORS / name / "credentials.json"
    if credentials.exists():  # some venues show their market to key holders alone
        given = json.loads(credentials.read_text(encoding="utf-8"))
        for part in ("key", "secret"):
            monkeypatch.setenv(f"VERBATIM_API_{part.upper()}", given[part])
    metadata = (VECTORS / name / "metadata.json").read_bytes()
    cases = json.loads((VECTORS / name / "market.json").read_text(encoding="utf-8"))
    frames = [str(each["payload"]).encode() for each in cases if len(str(each["payload"])) < 65_000]
    [instrument, *_] = make_venue(VenueSettings(name=name), ()).metadata.read(metadata).instruments
    async with trio.open_nursery() as nursery:
        server = await serve(nursery, partial(serve_streams, metadata=metadata, frames=frames))
        venue = {"name": name, "rest": server.http, "stream": server.http.replace("http", "ws")}
        values = {"instruments": [instrument.symbol], "venue": venue, "session": {"journals": str(tmp_path)}}
        config = make_config(values, "test", {})
        recorder = Recorder(
            with_market_keys(config, recording_config(config)),
            due_ns=lambda started_ns: 2 * started_ns,
            on_end=lambda _: None,
            on_status=lambda status: recorder.end() if status.messages > FRAMES_MIN else None,
        )
        with trio.fail_after(30):
            last = await recorder.run()
        nursery.cancel_scope.cancel()
    assert last.clean
    records = list(Journal.open(last.folder).records(kinds={Kind.FEED}))
    kept = [bytes(record.payload or b"") for record in records if not record.source.endswith(".rest")]
    assert len(kept) >= FRAMES_MIN
    assert set(kept) <= set(frames), "each frame is recorded byte for byte"
    assert verify(last.folder).problems == []
    assert replay_session(last.folder).identical


async def test_the_answers_of_a_polled_market_count_as_messages(tmp_path: Path) -> None:
    warm()
    metadata = (VECTORS / "binance_spot" / "metadata.json").read_bytes()
    [instrument, *_] = make_venue(VenueSettings(), ()).metadata.read(metadata).instruments
    async with trio.open_nursery() as nursery:
        server = await serve(nursery, partial(serve_streams, metadata=metadata, frames=[]))
        venue = {"name": "engine.venues.binance_spot_polled:BinanceSpotPolled", "rest": server.http, "network": "local"}
        values = {"instruments": [instrument.symbol], "venue": venue, "session": {"journals": str(tmp_path)}}
        recorder = Recorder(
            recording_config(make_config(values, "test", {})),
            due_ns=lambda started_ns: 2 * started_ns,
            on_end=lambda _: None,
            on_status=lambda status: recorder.end() if status.messages > 1 else None,
        )
        with trio.fail_after(30):
            last = await recorder.run()
        nursery.cancel_scope.cancel()
    answers = [
        each for each in Journal.open(last.folder).records(kinds={Kind.FEED}) if not each.source.endswith(".rest")
    ]
    assert last.last.messages == len(answers) > 1
