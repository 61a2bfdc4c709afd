"""Helpers for testing strategies and venues: a whole session in virtual time.

The real sequencer, kernel and journal against the real core of the simulated venue, byte for byte over their protocol.
Only time and sockets are ours: nothing waits, so an hour takes seconds, and the same seed gives the same session.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandBody, CommandName
from engine.kernel import Kernel
from engine.model import Instrument, RateLimits
from engine.paper_settings import PaperSettings
from engine.record_codec import text_of
from engine.sequencer import Arrival, Sequencer
from engine.session_record import (
    ACCOUNTING,
    MILLISECOND_NS,
    SAFEGUARDS,
    SAFETY,
    SECOND_NS,
    ClockSettings,
    EngineSettings,
    PreviousSession,
    RiskSettings,
    RuleSettings,
    SafeguardSettings,
    SafetySettings,
    SessionBody,
    StrategySettings,
    VenueSettings,
    new_engine_settings,
    newest_risk,
    newest_rules,
)
from engine.sim.binance import PROTOCOL
from engine.sim.binance.key_ring import signature
from engine.sim.binance_usdm import PROTOCOL as USDM
from engine.sim.faults import Rule
from engine.sim.feeds.capture_feed import CaptureMarket
from engine.sim.feeds.sim_market import SimMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.simulated_wires import Wires
from engine.sim.units import units
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.sim.venue_kinds import KINDS
from engine.sim.virtual_gateway import VirtualGateway
from engine.sim.wire import HttpRequest
from engine.state.session_state import State, carry_over
from engine.strategy.rule_loading import recorded_rules
from engine.venue_choices import AccountUse
from engine.venues.signing import Credentials
from engine.venues.venue import Network
from engine.venues.venue_lookup import make_venue
from journal.record import Kind, Record
from journal.trust_key import marked
from journal.writer import JournalWriter
from journal.writer_options import ClosedSummary
from verbatim.strategy_sources import from_sources, strategy_settings
from verbatim.venue_contract import check_venue

if TYPE_CHECKING:
    from verbatim.hostile.hostile_result import HostileResult
    from verbatim.hostile.hostile_run import run_hostile, run_hostile_in, shrink_hostile

__all__ = [
    "HostileResult",
    "VirtualSession",
    "VirtualVenue",
    "check_venue",
    "from_sources",
    "run_hostile",
    "run_hostile_in",
    "shrink_hostile",
    "strategy_settings",
]

START_NS = 1_723_161_250 * SECOND_NS
API_KEY, API_SECRET = "test-key-0000000000", "test-secret-0000000000"
NO_USES: Mapping[str, AccountUse] = {}
BALANCES = {"USDT": "1000000", "BTC": "20", "ETH": "200"}
OWN_BALANCES = {PROTOCOL: BALANCES, USDM: {"USDT": "1000000"}}  # instead of those of the venue's demo


class VirtualVenue:
    """The simulated venue with the clock and the faults of a test. Outlives the sessions that trade on it."""

    def __init__(
        self,
        *,
        kind: str = PROTOCOL,  # the venue that it plays (engine/sim/venue_kinds.py)
        seed: int = 1,
        symbols: Sequence[str] = ("BTCUSDT",),
        capture: Iterable[bytes] | None = None,
        balances: dict[str, str] | None = None,
        latency_ns: int = MILLISECOND_NS,
        fees: tuple[str, str] = ("", ""),  # maker, taker; "": the venue's own
        fee_asset: tuple[str, str] = ("", "1"),  # takes all fees; its price in the quote asset
        start_ns: int = START_NS,
        limits: dict[str, Any] | None = None,  # fields of VenueConfig, such as orders_10s_max
        market: SimMarket | None = None,  # instead of a capture or the synthetic market of `symbols`
    ) -> None:
        self.kind = kind
        self.dialect = KINDS[kind].dialect
        self.credentials = Credentials(*(KINDS[kind].credentials or (API_KEY, API_SECRET)), network=Network.LOCAL)
        market = market or (
            CaptureMarket(capture)
            if capture is not None
            else KINDS[kind].synthetic(tuple(symbols), seed=seed, start_ns=start_ns)
        )
        account = AccountConfig(
            api_key=self.credentials.key,
            secret=self.credentials.secret,
            balances=balances or dict(OWN_BALANCES.get(kind, KINDS[kind].balances)),
            name="test",
            fee_maker=fees[0],
            fee_taker=fees[1],
            fee_asset=fee_asset[0],
            fee_asset_price=fee_asset[1],
        )
        self.sim = SimVenue(
            VenueConfig(
                accounts=(account,),
                latency_ns=latency_ns,
                hold_until_subscribed=capture is not None,
                **(limits or {}),
            ),
            market,
            KINDS[kind].protocol,
        )
        self.now_ns = start_ns if capture is None else getattr(market, "first_ns", start_ns) - 2 * SECOND_NS
        self.symbols = market.symbols
        self._conn_ids = 0

    def new_conn_id(self) -> int:
        """Return an unused connection id."""
        self._conn_ids += 1
        return self._conn_ids

    def fault(self, **fields: Any) -> None:
        """Script a fault (engine/sim/faults.py lists them)."""
        self.sim.add_fault(msgspec.convert(fields, type=Rule), self.now_ns)

    def move_balance(self, asset: str, amount: str, *, streamed: bool = True) -> None:
        """Deposit into the account, or withdraw from it, as its owner would by hand."""
        self.sim.move_balance(asset, units(amount), self.now_ns, streamed=streamed)

    def unstruck_faults(self) -> list[Rule]:
        """Return the scripted faults that had no effect so far: a test of a fault that never struck proves nothing."""
        return self.sim.faults.unstruck()

    def get(self, path: str) -> Any:
        """Return the answer to an admin request (/sim/state, /sim/status)."""
        conn_id = self.new_conn_id()
        self.sim.http(conn_id, HttpRequest(method="GET", path=path, headers={}), self.now_ns)
        for outgoing in self.sim.advance(self.now_ns):
            if outgoing.conn_id == conn_id and outgoing.answer is not None:
                return json.loads(outgoing.answer.body)
        raise AssertionError(f"{path} was not answered at once")

    def by_hand(self, method: str, path: str, **params: str) -> tuple[int, Any]:
        """Do what a person does who uses the same account elsewhere. Return status and body of the answer.

        The request is processed at once; its events are streamed with the next ones of the market.
        """
        stamped = {**params, "timestamp": str(self.now_ns // MILLISECOND_NS), "recvWindow": "60000"}
        query = urlencode(stamped).encode()
        query += b"&signature=" + signature(API_SECRET, query).encode()
        request = HttpRequest(method=method, path=path, query=query, headers={"x-mbx-apikey": API_KEY})
        result = self.sim.api.rest(request, self.now_ns)
        return result.status, result.body

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the instruments of the venue, by its own description of them."""
        conn_id = self.new_conn_id()
        venue = make_venue(VenueSettings(name=self.dialect), ())
        query = venue.metadata.request()
        key = venue.signer.load_key(self.credentials) if query.signed else None
        message = venue.signer.sign_http(query, key, self.now_ns)
        path, _, text = message.path_and_query.partition("?")
        headers = {name.lower(): value for name, value in message.headers}
        request = HttpRequest(method=message.method, path=path, query=text.encode(), body=message.body, headers=headers)
        self.sim.http(conn_id, request, self.now_ns)
        for _ in range(100):
            self.now_ns += 10 * MILLISECOND_NS
            for outgoing in self.sim.advance(self.now_ns):
                if outgoing.conn_id == conn_id and outgoing.answer is not None:
                    found = venue.metadata.read(outgoing.answer.body).instruments
                    return tuple(each for each in found if each.symbol in self.symbols)
        raise AssertionError("the description of the instruments was not answered")


class VirtualSession:
    """One session of the engine on a VirtualVenue: `run`, then `stop` (an ordered end) or `kill`."""

    gateway_class: ClassVar[type[VirtualGateway]] = VirtualGateway
    sequencer_class: ClassVar[type[Sequencer]] = Sequencer

    def __init__(
        self,
        venue: VirtualVenue | Mapping[str, VirtualVenue],
        folder: Path,
        *,
        strategies: Sequence[StrategySettings] = (),
        risk: RiskSettings | None = None,
        rules: Sequence[RuleSettings] = (),
        engine: EngineSettings | None = None,
        safety: SafetySettings = SAFETY,
        read_only: bool = False,
        session: str = "aaaaaaaa",
        previous: "VirtualSession | PreviousSession | None" = None,
        opening: State | None = None,
        wire_ns: int = MILLISECOND_NS // 5,
        seed: int = 7,
        dialect: str = "",  # "": that of the venue
        accounting: int = ACCOUNTING,
        safeguards: SafeguardSettings = SAFEGUARDS,
        limits: dict[str, int] | None = None,  # fields of RateLimits that the session states instead of the defaults
        own_symbols: dict[str, str] | None = None,  # venue symbol -> own symbol
        uses: Mapping[str, AccountUse] = NO_USES,  # of accounts that do not trade, by venue
        is_trusted: bool = False,  # the session has this user's mark, so commands run its code without `--trust-code`
        paper: PaperSettings | None = None,
    ) -> None:
        """Begin the session. Several venues are given by name: each is a `dialect` under that name."""
        self.venues = {"": venue} if isinstance(venue, VirtualVenue) else dict(venue)
        self.venue = next(iter(self.venues.values()))
        self.records: list[Record] = []
        rates = RateLimits(**(limits or {}))
        venues = tuple(
            VenueSettings(
                name or dialect or at.dialect, rate_limits=rates, kind=(dialect or at.dialect) if name else ""
            )
            for name, at in self.venues.items()
        )
        venues = tuple(replace(each, use=uses.get(each.name, each.use)) for each in venues)
        instruments = self._instruments(own_symbols or {})  # which takes time
        self.body: SessionBody = SessionBody(
            session=session,
            started_ns=self.venue.now_ns,
            clock=ClockSettings(),
            seed=seed,
            host="test",
            versions={"engine": "test"},
            venues=venues,
            instruments=instruments,
            strategies=tuple(strategies),
            risk=newest_risk(risk or RiskSettings(sell_holdings=True)),  # the account holds coins
            rules=recorded_rules(rules),
            engine=replace(newest_rules(engine) if engine else new_engine_settings(), accounting=accounting),
            safety=safety,
            previous=PreviousSession(previous.body.session, previous.state.seq, "")
            if isinstance(previous, VirtualSession)
            else previous,
            opening=None if opening is None else self._opening_after(previous, opening),
            safeguards=safeguards,
            read_only=read_only,
            paper=paper,
        )
        if is_trusted:
            self.body = marked(self.body)
        self.folder = folder
        self.writer = self._create_writer()
        self.sequencer = self.sequencer_class(Kernel(self.body), self._append)
        self._shells = {
            settings.name: self._gateway(settings, at, Wires(wire_ns, wire_ns))
            for settings, at in zip(venues, self.venues.values(), strict=True)
        }
        self._shell = next(iter(self._shells.values()))
        if len(self._shells) > 1:
            for shell in self._shells.values():
                shell.peers = self._shells
        self._shell.perform(self.sequencer.begin(self.body))

    def _gateway(self, settings: VenueSettings, venue: VirtualVenue, wires: Wires) -> VirtualGateway:
        dialect = make_venue(settings, self.body.instruments)  # it signs
        key = dialect.signer.load_key(venue.credentials)
        return self.gateway_class(venue, self.sequencer, dialect, key, wires)

    def _instruments(self, own: Mapping[str, str]) -> tuple[Instrument, ...]:
        """Return the instruments of all venues, whose clocks agree then."""
        found = tuple(
            replace(
                each,
                id=f"{name or each.venue}:{each.symbol}",
                venue=name or each.venue,
                own_symbol=own.get(each.symbol, ""),
            )
            for name, venue in self.venues.items()
            for each in venue.instruments()
        )
        self._set_now(max(venue.now_ns for venue in self.venues.values()))
        return found

    def _set_now(self, now_ns: int) -> None:
        for venue in self.venues.values():
            venue.now_ns = max(now_ns, venue.now_ns)

    @classmethod
    def start(cls, venue: VirtualVenue, folder: Path, **settings: Any) -> Self:
        """Start a session: the same as the constructor."""
        return cls(venue, folder, **settings)

    @property
    def closing(self) -> bool:
        """Return True if the session has closed."""
        return self._shell.closing

    @property
    def state(self) -> State:
        """Return the state after the last input."""
        return self.sequencer.state

    # ---- driving

    def run(self, seconds: float = 0, *, until: Callable[["VirtualSession"], bool] | None = None) -> Self:
        """Advance session time until a condition holds, by at most `seconds`, or an hour."""
        end_ns = self.venue.now_ns + int((seconds or 3600) * SECOND_NS)
        while not self.closing and (until is None or not until(self)):
            next_ns = min(shell.next_ns() for shell in self._shells.values())
            if next_ns > end_ns:
                self._set_now(end_ns)
                break
            self._set_now(next_ns)
            for shell in self._shells.values():
                shell.advance()
        return self

    def cut(self, venue: str) -> Self:
        """Cut the network to one venue: its links go down, and nothing reaches it."""
        self._shells[venue].set_reachable(is_reachable=False)
        return self

    def restore(self, venue: str) -> Self:
        """Restore the network to one venue."""
        self._shells[venue].set_reachable(is_reachable=True)
        return self

    @staticmethod
    def _opening_after(previous: object, state: State) -> dict[str, Any]:
        """Return the opening state that a session left, as a start of the engine makes it."""
        if isinstance(previous, VirtualSession):
            return previous.sequencer.kernel.opening_after(state)
        return carry_over(state)

    def command(self, command: str, reason: str = "", *, about: str = "") -> Self:
        """Send a COMMAND, `about` an asset, instrument or strategy if it concerns one."""
        body = text_of(CommandBody(CommandName(command), "test", reason, about))
        self._shell.accept(Arrival(Kind.COMMAND, "control", body=body))
        return self

    def stop(self) -> ClosedSummary:
        """Stop in order and seal the journal."""
        self.command(CommandName.STOP).run(60)
        assert self.closing, "the session did not close"
        self._hang_up()
        return self.writer.close()

    def _hang_up(self) -> None:
        for shell in self._shells.values():
            shell.hang_up()

    def kill(self) -> Path:
        """Abandon the session as a killed process does: no seal, no message to the venue."""
        if self.records:
            self.writer.wait_durable(self.records[-1].seq, 60)
        self._hang_up()
        self.writer.abandon()
        return self.folder

    def facts(self, name: str) -> list[dict[str, Any]]:
        """Return the bodies of all facts of one tag so far."""
        return [body for fact in self.kinds(Kind.FACT) if (body := json.loads(fact.body or ""))["fact"] == name]

    def kinds(self, kind: Kind) -> list[Record]:
        """Return the records of one kind so far."""
        return [record for record in self.records if record.kind is kind]

    # ---- the journal

    def _create_writer(self) -> JournalWriter:
        return JournalWriter.create(self.folder, sync=False)

    def _append(self, records: Sequence[Record], *, urgent: bool) -> None:
        self.records.extend(records)
        self.writer.append_step(records, urgent=urgent)


def __getattr__(name: str) -> Any:
    """Return a name of the hostile sessions, which build on this module."""
    if name in ("HostileResult", "run_hostile", "run_hostile_in", "shrink_hostile"):
        from verbatim.hostile import hostile_run

        return getattr(hostile_run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
