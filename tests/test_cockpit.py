"""The cockpit's server by real HTTP on loopback: its answers agree with the journal, and its guards hold."""

import json
import os
import re
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from cockpit_session import HOSTILE, NAME, begin_session

pytest.importorskip("starlette", reason="the extra cockpit is not installed")
pytest.importorskip("hypercorn", reason="the extra cockpit is not installed")

from calm_venue import CalmVenue
from checked_sessions import of_tests
from test_amendments import started
from test_order_lists import MARKET_BRACKET, Desk
from test_several_venues import ONE, TWO, two_venues

import verbatim
from engine.live.control_socket import serve_control, socket_path
from engine.live.ingress import Command, Ingress
from engine.session_record import EngineSettings, new_engine_settings
from engine.venue_choices import VenueTrouble
from journal.reader import Journal
from journal.record import Kind
from journal.writer import JournalWriter
from replay.snapshots import snapshot_seqs
from verbatim.cockpit import app, fold_ahead, guards, plots, queries, report
from verbatim.cockpit.at_cursor import cursor_facts, ladder, state
from verbatim.cockpit.plots import plot_acts, series
from verbatim.cockpit.registry import Registry
from verbatim.cockpit.report import report_data, report_page, write_report
from verbatim.cockpit.serve import CannotListenError, listening_socket, run_cockpit
from verbatim.cockpit.session_view import SessionView
from verbatim.testing import VirtualSession

TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module", autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERBATIM_COCKPIT_CACHE", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cockpit") / "journals"
    begin_session(root / NAME).run(15).stop()
    return root


@pytest.fixture(scope="module")
def view(journals: Path) -> SessionView:
    found = SessionView(journals / NAME)
    found.load()
    return found


connected: set[str] = set()  # where any socket of this process connected to


def _note_connect(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        connected.add(str(arguments[1]))


sys.addaudithook(_note_connect)


@asynccontextmanager
async def running(journals: Path, *, can_command: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Run the server; yield a client that has signed in by the printed address."""
    listening = listening_socket(0)
    ready = trio.Event()
    addresses: list[str] = []

    def note(address: str) -> None:
        addresses.append(address)
        ready.set()

    async with trio.open_nursery() as nursery:
        start = partial(run_cockpit, can_command=can_command, token=TOKEN, on_ready=note)
        nursery.start_soon(start, Registry([], [journals]), listening)
        with trio.fail_after(20):
            await ready.wait()
        base = addresses[0].partition("/?")[0]
        connected.clear()
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
            answer = await client.get(f"/?token={TOKEN}")
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
            yield client
        nursery.cancel_scope.cancel()
    ours = {str(("127.0.0.1", client.base_url.port)), str(socket_path(journals, "aaaaaaaa"))}
    assert connected <= ours, "the server connects to nothing but a session's control socket"


# ---- what it shows agrees with the journal


@pytest.mark.slow
def test_acts_are_those_of_the_views(journals: Path, view: SessionView) -> None:
    """Orders, fills and refusals agree with SQL, which reads the same records another way."""
    session = verbatim.open(journals / NAME)
    orders = {row["client_order_id"]: row for row in session.orders.rows()}
    assert orders
    assert {row.id: row.status for row in view.acts.orders.values()} == {
        name: row["status"] for name, row in orders.items()
    }
    for row in view.acts.orders.values():
        assert Decimal(row.filled) == orders[row.id]["filled_quantity"]
    assert [row.seq for row in view.acts.fills] == [row["seq"] for row in session.fills.rows()]
    refused = [row["seq"] for row in session.verdicts.where("NOT approved").rows()]
    assert refused
    assert [seq for seq, _ in view.acts.marks["refusal"]] == refused
    modes = [(row["seq"], row["mode"], json.loads(row["reasons"])) for row in session.modes.rows()]
    assert [(seq, mode, reasons) for seq, _, mode, reasons in view.acts.modes] == modes


def test_a_session_of_several_venues_names_the_venue(tmp_path: Path) -> None:
    """Both have one symbol and one asset; one venue is lost, and a person paused the strategy."""
    engine = msgspec.structs.replace(new_engine_settings(), on_venue_trouble=VenueTrouble.OWN)
    strategies = [of_tests("both")]
    session = VirtualSession(
        two_venues(), tmp_path / NAME, strategies=strategies, engine=engine, session="aaaaaaaa"
    ).run(10)
    session.cut("two").run(15).command("pause_strategy", "to look", about="both").run(3)
    session.kill()
    [row] = Registry([], [tmp_path]).overview()
    assert (row["instruments"], row["account"]) == ([ONE, TWO], "main")
    view = SessionView(tmp_path / NAME)
    view.load()
    assert [each["symbol"] for each in view.head()["instruments"]] == [ONE, TWO]
    facts = cursor_facts(view, view.last_seq, None)
    assert [held[2] for held in facts["balances"]] == ["one/BTC", "one/USDT", "two/BTC", "two/USDT"]
    assert {"one/equity in USDT", "two/equity in USDT"} <= {each[2] for each in facts["checks"]}
    assert any("the account at two is syncing" in each[3] for each in facts["safety"])
    gaps = [plot_acts(view, name, 0, view.last_ns - view.origin_ns)["gaps"] for name in (ONE, TWO)]
    assert (gaps[0], gaps[1] != []) == ([], True)
    [held] = state(view, view.last_seq)["strategies"]
    assert held["paused_for"] == "paused by test: to look"


def test_acts_have_the_orders_of_lists_and_their_triggers(tmp_path: Path) -> None:
    desk = Desk(tmp_path, MARKET_BRACKET)
    desk.until_open()
    desk.market.price = "59890"
    desk.session.run(5)
    desk.session.stop()
    [_] = desk.session.facts("order_triggered")
    view = SessionView(desk.session.folder)
    view.load()
    orders = {row["client_order_id"]: row["status"] for row in verbatim.open(desk.session.folder).orders.rows()}
    assert sorted(orders.values()) == ["expired", "filled", "filled"]
    assert {row.id: row.status for row in view.acts.orders.values()} == orders
    assert {(row.instrument, row.side) for row in view.acts.intents} == {
        (desk.instrument.id, "BUY"),
        (desk.instrument.id, "SELL"),
    }
    [listed] = [row for row in view.acts.intents if ";" in row.terms]
    assert (listed.side, listed.price) == ("SELL", "60100"), "a list is shown by its first order and its first price"


def test_an_amended_order_has_the_quantity_of_its_time(tmp_path: Path) -> None:
    session = started(tmp_path, CalmVenue())
    session.stop()
    view = SessionView(session.folder)
    view.load()
    [row] = view.acts.orders.values()
    [amended] = [record.seq for record in session.kinds(Kind.FACT) if '"fact":"order_amended"' in (record.body or "")]
    [by_sql] = verbatim.open(session.folder).orders.rows()
    assert (
        (Decimal(row.quantity), row.status) == (by_sql["quantity"], by_sql["status"]) == (Decimal("0.004"), "canceled")
    )
    own = {seq: ladder(view, 0, seq, 20)["own"] for seq in (amended - 1, amended)}
    assert own == {amended - 1: {row.price: "0.01"}, amended: {row.price: "0.004"}}
    state_orders = {seq: state(view, seq)["orders"] for seq in own}
    assert {seq: {order["price"]: order["quantity"] for order in orders} for seq, orders in state_orders.items()} == own
    assert {order.instrument for order in view.acts.intents} == {row.instrument}, "of the amendment too"


def test_a_series_has_the_quotes_of_the_session_at_any_zoom(journals: Path, view: SessionView) -> None:
    quotes = verbatim.open(journals / NAME).quotes().rows()
    end = view.last_ns - view.origin_ns
    for columns in (1, 7, 4_000):
        found = series(view, 0, 0, end, columns)["quotes"]
        scale = 10 ** view.context.body.instruments[0].price_scale if view.context else 1
        assert min(found["low"]) == min(int(row["bid"] * scale) for row in quotes)
        assert max(found["high"]) == max(int(row["ask"] * scale) for row in quotes)
        assert found["seq"][-1] == quotes[-1]["seq"]
        assert len(found["time"]) <= columns
    middle = quotes[len(quotes) // 2]
    time = middle["time_ns"] - view.origin_ns
    exact = series(view, 0, time, time + 1, 10)["quotes"]
    assert exact["seq"][0] <= middle["seq"] <= exact["seq"][-1], "the quote that holds when the range begins is in it"


@pytest.mark.slow
def test_the_state_at_a_cursor_is_that_of_a_rebuild(journals: Path, view: SessionView) -> None:
    """The cursor jumps forward and back; each state equals a rebuild from the beginning."""
    session = verbatim.open(journals / NAME)
    for seq in (view.last_seq, 40, view.last_seq // 2, view.last_seq // 2 + 3, 5, view.last_seq - 1):
        expected = session.state(seq).as_json()
        found = state(view, seq)
        assert found["seq"] == expected["seq"] == seq
        assert found["mode"]["mode"] == expected["mode"]["mode"]
        assert found["orders"] == json.loads(json.dumps([row for row in expected["orders"] if row["live"]]))
        assert found["markets"][0]["quote"] == _large_as_text(expected["markets"][0]["quote"])
        assert (
            cursor_facts(view, seq, None)["mode"] is None
            or cursor_facts(view, seq, None)["mode"][2] == expected["mode"]["mode"]
        )
        book = ladder(view, 0, seq, 20)
        if expected["markets"][0]["bids"]:
            scale = 10 ** view.context.body.instruments[0].price_scale if view.context else 1
            best = [int(Decimal(price) * scale) for price, _ in expected["markets"][0]["bids"]]
            assert [price for price, _ in ladder(view, 0, seq + 1, 20)["bids"][:5]] == best or book["bids"]


def test_a_long_session_is_folded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The states that a jump then begins at are those of a fold from the start."""
    folder = tmp_path / NAME
    begin_session(folder, engine=EngineSettings(checkpoint_every=200)).run(8).stop()
    monkeypatch.setattr(fold_ahead, "RECORDS_MIN", 500)
    monkeypatch.setattr(fold_ahead, "SNAPSHOT_RECORDS", 300)
    journal = Journal.open(folder)
    assert fold_ahead.lacks_snapshots(journal)
    before = SessionView(folder).states.report(journal.last_seq - 100)
    fold_ahead.fold(folder, every=300)
    assert len(snapshot_seqs(journal)) >= 3
    assert not fold_ahead.lacks_snapshots(journal)
    assert SessionView(folder).states.report(journal.last_seq - 100) == before


def _large_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _large_as_text(item) for name, item in value.items()}
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def test_a_second_opening_uses_the_caches_and_answers_the_same(journals: Path, view: SessionView) -> None:
    again = SessionView(journals / NAME)
    again.load()
    end = view.last_ns - view.origin_ns
    assert series(again, 0, 0, end, 50) == series(view, 0, 0, end, 50)
    assert again.orders() == view.orders()
    cached = list(Path(os.environ["VERBATIM_COCKPIT_CACHE"]).rglob("*.cache"))
    assert {path.name.partition("-")[0] for path in cached} >= {"series", "acts.cache"}
    assert not [path for path in (journals / NAME).iterdir() if path.name.startswith(("series", "acts"))]


def test_a_session_is_shown_before_its_market_is_read(view: SessionView, tmp_path: Path) -> None:
    """Parts that the page shows are read first; the answers then are those of a session that was read at once."""
    folder = tmp_path / NAME
    writer = JournalWriter.create(folder, sync=False, segment_bytes=50_000)
    for record in view.journal.records():
        writer.append_step([record], urgent=record.seq % 300 == 299)
        if record.seq % 300 == 299:
            writer.wait_durable(record.seq, 60)
    writer.close()
    long = SessionView(folder)
    long.open()
    parts, end = long.market.series.parts, long.last_ns - long.origin_ns
    assert len(parts) >= 6
    shown, whole = plots.rail(long, 100), plots.rail(view, 100)
    assert (shown["marks"], shown["modes"]) == (whole["marks"], whole["modes"]), "times and acts are there at once"
    assert abs(sum(shown["density"]) - sum(whole["density"])) <= len(parts)
    first = series(long, 0, 0, end, 50)
    assert (len(first["missing"]), first["quotes"]["time"]) == (len(parts), [])

    middle = (parts[4].first_ns + parts[4].last_ns) // 2 - long.origin_ns
    assert series(long, 0, middle, middle + 1, 50)["missing"] == [], "a short range is read when it is asked for"
    assert series(long, 0, middle, middle + 1, 50)["quotes"] == series(view, 0, middle, middle + 1, 50)["quotes"]

    begin = parts[-3].first_ns - long.origin_ns
    for missing in range(len(series(long, 0, begin, end, 50)["missing"]), 0, -1):
        assert len(series(long, 0, begin, end, 50)["missing"]) == missing
        assert long.market.build_next(), "what is shown comes first"
    long.load()
    assert series(long, 0, 0, end, 50) == series(view, 0, 0, end, 50)
    assert not long.market.build_next()


# ---- by HTTP


@pytest.mark.slow
async def test_every_answer_by_http(journals: Path) -> None:
    async with running(journals) as client:
        [row] = (await client.get("/api/sessions")).json()
        assert (row["id"], row["ended"], row["is_live"]) == ("aaaaaaaa", "closed", False)
        head = (await client.get("/api/s/aaaaaaaa/head")).json()
        assert head["counts"]["refused"] > 0
        end, last = head["last_time"], head["last_seq"]
        asked = {
            "from": 0,
            "to": end,
            "columns": 50,
            "instrument": 0,
            "seq": last // 2,
            "mark": "fill",
            "names": "writer.spread",
        }
        order = next(iter((await client.get("/api/s/aaaaaaaa/orders")).json()["rows"]))["id"]
        for name in app.ANSWERS:
            answer = await client.get(f"/api/s/aaaaaaaa/{name}", params={**asked, "order": order})
            assert answer.status_code == 200, (name, answer.text)
            assert answer.headers["content-type"] == "application/json"
            _fits_a_browser(answer.json())
        chain = (await client.get("/api/s/aaaaaaaa/why", params={"order": order})).json()["chain"]
        assert {"INTENT", "VERDICT", "REQUEST", "FEED"} <= {link["kind"] for link in chain}
        page = await client.get("/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "<script>" not in page.text
        assert "{{" not in page.text
        for name in ("app.js", "style.css", "htm-preact.js"):
            assert (await client.get(f"/page/{name}")).status_code == 200


def _fits_a_browser(value: Any) -> None:
    """Fail if a number would lose digits in a browser."""
    if isinstance(value, dict):
        for item in value.values():
            _fits_a_browser(item)
    elif isinstance(value, list):
        for item in value:
            _fits_a_browser(item)
    else:
        assert not isinstance(value, int) or abs(value) <= 2**53, value


@pytest.mark.slow
async def test_sql_reads_and_is_bounded(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(journals) as client:
        post = partial(client.post, "/api/s/aaaaaaaa/sql", headers={"origin": str(client.base_url).rstrip("/")})
        found = (await post(json={"query": "SELECT count(*) AS n, max(time_ns) AS t FROM records"})).json()
        assert found["columns"] == ["n", "t"]
        assert found["rows"][0][1].isdigit(), "numbers of 64 bits are texts"
        assert "refused" in (await post(json={"query": "CREATE TABLE x AS SELECT 1"})).json()["error"]
        assert "longer than" in (await post(json={"query": "SELECT " + "1," * 30_000})).json()["error"]
        assert (await post(content=b"x" * (guards.BODY_BYTES_MAX + 1))).status_code >= 400
        many = (await post(json={"query": "SELECT * FROM range(100000)"})).json()
        assert (len(many["rows"]), many["more"]) == (queries.ROWS_MAX, True)


@pytest.mark.slow
async def test_a_query_that_never_ends_is_ended(journals: Path) -> None:
    workers = queries.QueryWorkers(seconds=3.0)
    try:
        # long, and small in memory; DuckDB sees no end of it, as it does of a remainder that cannot be
        endless = "SELECT count(*) FROM range(1000000000000) WHERE hash(range) = 9"
        assert "longer than 3 s" in (await workers.run(journals / NAME, endless, 1))["error"]
        workers._seconds = 60.0  # another process begins, perhaps on a busy machine
        assert (await workers.run(journals / NAME, "SELECT 1 AS one", 1))["rows"] == [["1"]]
    finally:
        await workers.aclose()


# ---- the guards


async def test_other_hosts_origins_and_users_get_nothing(journals: Path) -> None:
    async with running(journals) as client:
        base = str(client.base_url).rstrip("/")
        refused = [
            ({"host": "evil.example"}, 421),
            ({"host": f"evil.example:{client.base_url.port}"}, 421),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"origin": base.replace("127.0.0.1", "127.0.0.2")}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "same-site"}, 403),
        ]
        for headers, status in refused:
            answer = await client.get("/api/sessions", headers=headers)
            assert (answer.status_code, "aaaaaaaa" in answer.text) == (status, False), headers
        async with httpx.AsyncClient(base_url=base, trust_env=False) as stranger:
            for path in ("/", "/api/sessions", "/page/app.js", "/?token=wrong"):
                assert (await stranger.get(path)).status_code == 401, path
        assert (await client.get("/api/s/aaaaaaaa/head", params={"x": "y" * guards.URL_BYTES_MAX})).status_code == 414


async def test_no_path_leaves_the_page_or_the_journals(journals: Path, tmp_path: Path) -> None:
    (journals / "secret.txt").write_text("secret")
    async with running(journals) as client:
        for path in (
            "..%2f..%2fapp.py",
            "%2e%2e%2fapp.py",
            "app.py",
            "index.html",
            "/etc/passwd",
            "..\\app.py",
            "vendor%2fhtm-preact.js",
        ):
            assert (await client.get(f"/page/{path}")).status_code == 404, path
        for name in ("..", "..%2f..", "%2fetc", str(tmp_path).replace("/", "%2f"), "secret.txt", "zzzz"):
            answer = await client.get(f"/api/s/{name}/head")
            assert answer.status_code == 404, (name, answer.text)
        for name, given in (
            ("series", {}),
            ("at", {"seq": "1e9"}),
            ("at", {"seq": "9" * 40}),
            ("records", {"seq": "x"}),
            ("nothing", {}),
        ):
            assert (await client.get(f"/api/s/aaaaaaaa/{name}", params=given)).status_code in (400, 404)


async def test_commands_need_token_origin_confirmation_and_a_running_session(journals: Path) -> None:
    async with running(journals) as client:
        base = str(client.base_url).rstrip("/")
        page = (await client.get("/")).text
        token = page.partition('name="command-token" content="')[2].partition('"')[0]
        assert len(token) > 20
        post = partial(client.post, "/api/s/aaaaaaaa/command")
        good = {"origin": base, app.COMMAND_HEADER: token}
        assert (await post(json={"command": "pause"}, headers={"origin": base})).status_code == 403
        assert (await post(json={"command": "pause"}, headers={app.COMMAND_HEADER: token})).status_code == 403
        assert (await post(json={"command": "handover"}, headers=good)).status_code == 400
        answer = await post(json={"command": "flatten"}, headers=good)
        assert (answer.status_code, "type the session's id, aaaaaaaa" in answer.text) == (400, True)
        answer = await post(json={"command": "flatten", "confirm": "aaaaaaaa"}, headers=good)
        assert (answer.status_code, "no session listens" in answer.text) == (409, True)
    async with running(journals, can_command=False) as client:
        assert 'name="command-token" content=""' in (await client.get("/")).text
        answer = await client.post("/api/s/aaaaaaaa/command", json={"command": "pause"}, headers={"origin": base})
        assert answer.status_code == 403


async def test_a_command_reaches_the_session_through_its_control_socket(journals: Path) -> None:
    """The session here is a control socket with a real ingress, which answers each command as the input loop does."""
    ingress = Ingress()
    path = socket_path(journals, "aaaaaaaa")
    async with trio.open_nursery() as nursery, running(journals) as client:
        await nursery.start(serve_control, path, ingress)
        base = str(client.base_url).rstrip("/")
        token = (await client.get("/")).text.partition('name="command-token" content="')[2].partition('"')[0]
        given: list[tuple[str, str]] = []

        async def answer_one() -> None:
            while not isinstance(command := ingress.next(), Command):
                await ingress.wait(1)
            given.append((command.name, command.by))
            command.seq, command.mode = 7, "paused"
            command.done.set()

        nursery.start_soon(answer_one)
        headers = {"origin": base, app.COMMAND_HEADER: token}
        answer = await client.post("/api/s/aaaaaaaa/command", json={"command": "pause"}, headers=headers)
        assert answer.json() == {"seq": 7, "mode": "paused", "reasons": [], "notes": []}
        assert given[0][0] == "pause"
        assert given[0][1].endswith("(cockpit)")
        nursery.cancel_scope.cancel()


async def test_slow_clients_are_dropped_and_others_are_served(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty clients ask for much and read nothing: others get their answers, and the fifty are disconnected."""
    monkeypatch.setattr(guards, "SEND_SECONDS", 0.5)
    async with running(journals) as client:
        port = client.base_url.port or 0
        cookie = next(iter(client.cookies.jar))
        request = (
            f"GET /page/app.js HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie.name}={cookie.value}\r\n\r\n" * 40
        ).encode()
        slow = []
        try:
            for _ in range(50):
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect(("127.0.0.1", port))
                one.setblocking(False)
                one.send(request)
                slow.append(one)
            with trio.fail_after(20):
                for _ in range(5):
                    assert (await client.get("/api/s/aaaaaaaa/head")).status_code == 200
                while _served(port) > 1:
                    await trio.sleep(0.05)  # the kernel ends them: its probes find no room for so long
        finally:
            for one in slow:
                one.close()


async def test_clients_that_read_nothing_do_not_delay_the_end(journals: Path) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with running(journals) as client:
        port, cookie = client.base_url.port or 0, next(iter(client.cookies.jar))
        slow.connect(("127.0.0.1", port))
        slow.send(
            f"GET /page/style.css HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Cookie: {cookie.name}={cookie.value}\r\n\r\n".encode()
            * 500
        )
        await client.get("/api/sessions")
        assert _served(port) == 2, "its answers wait for it"
        begun = trio.current_time()
    assert trio.current_time() - begun < guards.SEND_SECONDS / 2
    slow.close()


def _served(port: int) -> int:
    """Return how many connections to a port of this machine are established, at the server's end."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(f":{port:04X}") and state == "01" for _, local, _, state, *_ in rows)


async def test_no_more_pages_follow_a_session_than_the_server_bears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "STREAMS_MAX", 2)
    session = begin_session(tmp_path / "journals" / NAME).run(3)
    session.writer.wait_durable(session.records[-1].seq, 60)
    async with running(tmp_path / "journals") as client:
        pages = [await _follow(client) for _ in range(2)]
        assert [status for status, _ in pages] == [200, 200]
        refused = await client.get("/api/s/aaaaaaaa/stream")
        assert (refused.status_code, "2 pages follow sessions already" in refused.text) == (503, True)
        assert (await client.get("/api/sessions")).status_code == 200, "other answers come"
        for _, page in pages:
            await page.aclose()
        with trio.fail_after(20):
            status = 503
            while status != 200:  # the server notices that a page left when it sends the next event
                status, page = await _follow(client)
                await page.aclose()
        session.stop()


async def _follow(client: httpx.AsyncClient) -> tuple[int, trio.SocketStream]:
    """Follow the session as a page does. Return the status of the answer, and the connection."""
    port, cookie = client.base_url.port or 0, next(iter(client.cookies.jar))
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    head = f"Host: 127.0.0.1:{port}\r\nCookie: {cookie.name}={cookie.value}"
    await stream.send_all(f"GET /api/s/aaaaaaaa/stream HTTP/1.1\r\n{head}\r\n\r\n".encode())
    return int((await stream.receive_some(12)).split()[1]), stream


# ---- a running session


@pytest.mark.slow
async def test_a_running_session_is_followed(tmp_path: Path) -> None:
    """Events arrive while a session runs; what they lead to agrees with the journal at its end."""
    session: VirtualSession = begin_session(tmp_path / "journals" / NAME).run(8)
    session.writer.wait_durable(session.records[-1].seq, 60)
    async with running(tmp_path / "journals") as client:
        with trio.fail_after(20):
            while "loading" in (head := (await client.get("/api/s/aaaaaaaa/head")).json()):
                continue  # each answer waits for a moment, as the page does
        assert head.get("is_live"), head
        seen: list[dict[str, Any]] = []
        async with client.stream("GET", "/api/s/aaaaaaaa/stream") as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                seen.append(json.loads(line[6:]))
                if len(seen) == 1:
                    session.run(6)
                    session.writer.wait_durable(session.records[-1].seq, 60)
                elif len(seen) == 2:
                    session.stop()
        last = session.records[-1].seq
        assert not seen[-1]["is_live"], "the stream ends with the session"
        assert [event["last_seq"] for event in seen] == sorted(event["last_seq"] for event in seen)
        assert seen[-1]["last_seq"] == last
        live = (await client.get("/api/s/aaaaaaaa/orders")).json()
    folder = tmp_path / "journals" / NAME
    assert not list(folder.glob("*.cache")), "a reader writes nothing into the folder of a running session"
    finished = SessionView(folder)
    finished.load()
    assert live == json.loads(json.dumps(finished.orders()))


def test_a_port_in_use_is_told() -> None:
    first = listening_socket(0)
    try:
        with pytest.raises(CannotListenError, match="choose another with --port"):
            listening_socket(first.getsockname()[1])
    finally:
        first.close()


# ---- the report


@pytest.mark.slow
def test_a_report_is_one_file_without_a_way_out(
    view: SessionView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOMENTS_MAX", 4)
    monkeypatch.setattr(report, "STORIES_MAX", 4)
    path = tmp_path / "out.html"
    assert write_report(view, path) == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = path.read_text()
    data = page.partition('id="report-data">')[2].partition("</script>")[0]
    assert HOSTILE not in page
    assert HOSTILE in json.dumps(json.loads(data), ensure_ascii=False).replace('\\"', '"'), "it is there, as data"
    assert page.count("<script") == 3
    for way_out in ("http://", "https://", "//cdn"):
        outside = page.replace(data, "")
        assert way_out not in outside.replace("http://www.w3.org", ""), way_out
    assert "default-src 'none'" in page
    assert report_page(report_data(view)) == page, "the same session gives the same file"


def test_a_record_shows_its_cause_and_effects(view: SessionView) -> None:
    intent = next(row for row in view.acts.intents if row.approved)
    found = app.ANSWERS["record"](view, app.Parameters({"seq": str(intent.seq)}))
    assert (found["kind"], found["decided_on"]) == (Kind.INTENT.value, intent.quote_seq)
    assert [row["kind"] for row in found["caused"]] == ["VERDICT"]


def test_vendored_files_are_those_of_their_projects() -> None:
    """The checksums in SHA256SUMS, which README.txt traces to packages of the npm registry."""
    folder = files("verbatim.cockpit").joinpath("page", "vendor")
    sums = dict(reversed(line.split()) for line in folder.joinpath("SHA256SUMS").read_text().splitlines())
    names = {entry.name for entry in folder.iterdir()} - {"SHA256SUMS", "README.txt"}
    assert sums == {name: sha256(folder.joinpath(name).read_bytes()).hexdigest() for name in names}
    assert {name for name in names if name.startswith("LICENSE")} == {
        "LICENSE-htm.txt",
        "LICENSE-preact.txt",
        "LICENSE-signals-core.txt",
    }


def test_the_page_has_no_inline_code() -> None:
    folder = files("verbatim.cockpit").joinpath("page")
    scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".js")]
    assert len(scripts) > 8
    for entry in scripts:
        text = entry.read_text()
        assert max(map(len, text.splitlines())) <= 120, f"{entry.name}: CONTRIBUTING.md names the formatter"
        assert not re.search(
            r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerously", text
        ), entry.name
        assert set(re.findall(r'from "([^"]+)"', text)) <= {
            f"./{other.name}" for other in [*scripts, *folder.joinpath("vendor").iterdir()]
        }
