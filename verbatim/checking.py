"""`verbatim check`: everything that a session needs at its venues, one check after the other. It sends no order.

Each request is a GET or a subscription; `_ask` refuses any other. A check that cannot be made because an earlier one
failed is skipped.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus

import msgspec
import trio

from engine import events as reports
from engine.events import AccountReport, OpenOrdersReport, Outcome, ServerTime
from engine.handlers.margin_settings import margin_differences
from engine.live.session_config import SessionConfig
from engine.live.token_requests import TokenRefusedError, request_token
from engine.live.transport.http_result import HttpResult, HttpSender
from engine.live.transport.selection import open_websocket
from engine.live.transport.websocket import WebsocketClosedError
from engine.live.venue_access import VenueAccess, make_venue_sender
from engine.model import Instrument
from engine.requests import AnswerStatus, LinkPlan, LinkRole, Unsigned
from engine.risk.limits_of import limits_of
from engine.session_record import MILLISECOND_NS
from engine.state.margins import ContractMargin
from engine.state.rate_budgets import DescribesRates
from engine.suggestions import suggestion
from engine.venues.contract_accounts import HasPositions
from engine.venues.link_tokens import frame_with_token, with_token
from engine.venues.metadata_parts import joined_report, metadata_requests
from engine.venues.optional_parts import KeyRightsReader, key_proofs, key_refusal
from engine.venues.order_routes import open_orders_of
from engine.venues.signing import SecretKey
from engine.venues.venue import Venue
from engine.venues.venue_lookup import make_venue
from journal.record import plain
from verbatim.local_checks import Check, CheckFailedError, CheckStatus, NeedsKeyError
from verbatim.subscription_answers import answer_text, body_text, outcome_of, refusal_of

REQUEST_SECONDS_MAX = 10.0
LIMITED_SECONDS = 1.0  # venues count the requests of an address by the second
FRAMES_MAX = 1000  # of a link that waits for its subscription
CLOCK_TRIES = 3  # the quickest answer measures best
CLOCK_OFFSET_NS_MAX = 500 * MILLISECOND_NS  # Binance refuses what is 1 s ahead of its clock


class VenueChecks:
    """The checks at the venue. `run` yields them as they are made."""

    def __init__(
        self, config: SessionConfig, wanted: VenueAccess, sender: HttpSender, allowed_rights: Sequence[str] = ()
    ) -> None:
        """Check one venue of a session.

        Args:
            config: The session.
            wanted: The venue.
            sender: Sends to the venue.
            allowed_rights: Rights of the key that are no failure.

        """
        self._config = config
        self._wanted = wanted
        self._sender = sender
        self._allowed = allowed_rights
        self._trades = bool(config.strategies) and wanted.trades
        self._venue = make_venue(wanted.settings, ())
        self._offset_ns = 0
        self._instruments: tuple[Instrument, ...] = ()
        self._failed: dict[str, str] = {}  # checks that did not pass -> the check that was the cause

    async def run(self) -> AsyncIterator[Check]:
        """Make every check: the venue's address, instruments and clock, then the streams, the key and its rights."""
        has_clock = self._venue.server_time() is not None  # else an instrument may be needed to read it
        yield await self._check("venue", self._reach)
        yield await self._check("instruments", self._find_instruments, after="venue")
        yield await self._check("clock", self._measure_clock, after="venue" if has_clock else "instruments")
        yield await self._check("filters", self._compare_filters, after="instruments")
        yield await self._check("market stream", self._open_market, after="instruments")
        if self._wanted.key is not None:
            yield await self._check("key", self._use_key, after="venue")
            yield await self._check("key rights", self._read_rights, after="key")
            yield await self._check("open orders", self._list_orders, after="key")
            if self._trades and isinstance(self._venue.account, HasPositions):
                yield await self._check("margin", self._compare_margin, after="key")
            yield await self._check("account stream", self._open_account, after="key")

    async def _check(self, name: str, make: Callable[[], Awaitable[str]], *, after: str = "") -> Check:
        if after in self._failed:
            cause = self._failed[name] = self._failed[after]
            return Check(name, CheckStatus.SKIP, f"needs {cause}")
        try:
            text = await make()
        except NeedsKeyError:
            self._failed[name] = "key"
            return Check(name, CheckStatus.SKIP, "needs key")
        except (CheckFailedError, ValueError) as error:  # ValueError: the venue cannot serve or sign it
            self._failed[name] = name
            text, advice = (error.text, error.advice) if isinstance(error, CheckFailedError) else (str(error), "")
            return Check(name, CheckStatus.FAIL, text, advice)
        return Check(name, CheckStatus.OK, text)

    # ---- public

    async def _reach(self) -> str:
        query = self._venue.server_time() or self._venue.metadata.request(self._wanted.symbols)
        result = await self._ask(query)
        if result.status != 200:
            events = self._venue.decode_answer(query, "", result.status, result.headers, result.body)
            if query.signed and outcome_of(events) is Outcome.AUTH:
                raise self._refused_key(f"HTTP {result.status}{answer_text(events)}")
            raise CheckFailedError(
                f"{self._address(query)} answered HTTP {result.status}{body_text(result)}",
                "correct venue.rest, or name a network in venue.network",
            )
        return f"{self._wanted.settings.rest} answers"

    async def _measure_clock(self) -> str:
        query = self._venue.server_time()
        if query is None:
            return "the venue has no clock to compare with"
        best_ns: int | None = None
        for _ in range(CLOCK_TRIES):
            result = await self._ask(query)
            ended_ns = self._config.clock.now_ns()
            trip_ns = ended_ns - result.sent_ns
            events = self._venue.decode_answer(query, "", result.status, result.headers, result.body)
            for event in events:
                if isinstance(event, ServerTime) and (best_ns is None or trip_ns < best_ns):
                    best_ns, self._offset_ns = trip_ns, event.venue_ns - (result.sent_ns + ended_ns) // 2
        if best_ns is None:
            raise CheckFailedError("the venue does not state its time", "try again later")
        side = "ahead of" if self._offset_ns > 0 else "behind"
        text = f"the venue's clock is {abs(self._offset_ns) / 1e9:.3f} s {side} ours"
        if abs(self._offset_ns) - best_ns // 2 > CLOCK_OFFSET_NS_MAX * self._config.clock.speed:
            raise CheckFailedError(text, "synchronise this machine's clock (chrony or ntpd)")
        return text

    async def _find_instruments(self) -> str:
        bodies, decoded = [], []
        for query in metadata_requests(self._venue, self._wanted.symbols):
            result = await self._ask(query)
            bodies.append(result.body)
            decoded.append(self._venue.decode_answer(query, "", result.status, result.headers, result.body))
        report, failed = joined_report(self._venue, bodies, decoded)
        found = {instrument.symbol: instrument for instrument in report.instruments}
        missing = [symbol for symbol in self._wanted.symbols if symbol not in found]
        if missing:
            answer = answer_text((failed,) if failed else ())
            raise CheckFailedError(
                f"the venue lists no {', '.join(missing)}{suggestion(missing[0], found)}{answer}",
                "correct `instruments` in the configuration",
            )
        self._instruments = tuple(found[symbol] for symbol in self._wanted.symbols)
        self._venue = make_venue(self._wanted.settings, self._instruments)
        halted = [instrument.symbol for instrument in self._instruments if not instrument.trading]
        if halted:
            raise CheckFailedError(f"{', '.join(halted)} does not trade now", "wait, or remove it from `instruments`")
        rates, weight = self._venue.rates, report.rate_limits.weight_minute_max
        limits = rates.describe() if isinstance(rates, DescribesRates) else f"{weight} request weight a minute"
        return f"{', '.join(self._wanted.symbols)} trade; {limits}"

    async def _compare_filters(self) -> str:
        """Verify that the session's limits leave room for an order that the venue accepts."""
        risk = self._config.risk
        for each in self._instruments:
            pairs = (
                ("order_size_max", risk.order_size_max, "quantity", each.quantity_min),
                ("order_notional_max", risk.order_notional_max, "notional", each.notional_min),
                ("position_max", risk.position_max, "quantity", each.quantity_min),
            )
            for name, limit, what, least in pairs:
                if limit and limit < least:
                    venues = f"the venue's least {what} of {each.symbol} is {plain(least)}"
                    raise CheckFailedError(
                        f"risk.{name} is {plain(limit)}, and {venues}",
                        f"raise risk.{name}, or remove {each.symbol}",
                    )
        texts = [
            f"{each.symbol} tick {plain(each.tick_size)}, lot {plain(each.lot_size)}, least notional "
            f"{plain(each.notional_min)}"
            for each in self._instruments
        ]
        return "; ".join(texts)

    async def _open_market(self) -> str:
        return await self._open_links(LinkRole.MARKET, self._wanted.settings.stream, "venue.stream")

    # ---- the account

    async def _use_key(self) -> str:
        bodies, report = [], None
        for query in key_proofs(self._venue, self._wanted.key):
            result = await self._ask(query)
            events = self._venue.decode_answer(query, "", result.status, result.headers, result.body)
            report = report or next((event for event in events if isinstance(event, AccountReport)), None)
            if report is None or outcome_of(events) is not Outcome.DONE:
                told = f"HTTP {result.status}{answer_text(events)}"
                if outcome_of(events) is Outcome.AUTH:
                    raise self._refused_key(told)
                raise CheckFailedError(f"the venue does not show the account: {told}", "try again later")
            bodies.append(result.body)
        assert report is not None, "the first query is that of the balances"
        if why := key_refusal(self._venue, self._wanted.key, bodies):
            raise CheckFailedError(why, f"correct {self._wanted.key_source}")
        if self._trades and report.can_trade is False:
            raise CheckFailedError("the account may not trade", "ask the venue why")
        held = [
            f"{each.asset} {plain(each.free + each.locked)}" for each in report.balances if each.free or each.locked
        ]
        return f"accepted; the account holds {', '.join(held[:8]) or 'nothing'}{' and more' if len(held) > 8 else ''}"

    def _refused_key(self, told: str) -> CheckFailedError:
        return CheckFailedError(
            f"the venue refuses the key: {told}",
            f"check {self._wanted.key_source} and the key's list of addresses, and that the key is of the "
            f"network {self._wanted.network}",
        )

    async def _read_rights(self) -> str:
        reader: KeyRightsReader | None = getattr(self._venue, "key_rights", None)
        query = None if reader is None else reader.request(self._wanted.network)
        if reader is None or query is None:
            return "the venue does not state them here: check on its page of API keys that the key cannot withdraw"
        result = await self._ask(query)
        try:
            rights = reader.read(result.body)
        except msgspec.MsgspecError:
            text = f"{self._address(query)} answered HTTP {result.status}{body_text(result)}"
            raise CheckFailedError(text, "try again later") from None
        except ValueError as error:
            raise CheckFailedError(str(error), "correct the key") from None
        if rights.withdraws and "withdrawals" not in self._allowed:
            cure = f"use {rights.lesser_kind}" if rights.kind else "remove that right, use a key without it"
            raise CheckFailedError(
                f"the key {f'is {rights.kind}: it ' if rights.kind else ''}may withdraw, which trading never needs",
                f'{cure}, or set venue.allow_key_rights = ["withdrawals"]',
            )
        if not rights.reads:
            raise CheckFailedError("the key may not read the account", "give it the right to read at the venue")
        if self._trades and not rights.trades:
            raise CheckFailedError(
                "the key may not trade",
                "give it the right to trade at the venue, or remove the strategies to watch the account",
            )
        named = ["reads", *(["trades"] if rights.trades else []), *(["withdraws"] if rights.withdraws else [])]
        bound = "; any address may use it: list yours at the venue" if rights.is_ip_bound is False else ""
        return f"{', '.join(named)}{f'; it is {rights.kind}' if rights.kind else ''}{bound}"

    async def _list_orders(self) -> str:
        count = 0
        for query in open_orders_of(self._venue.account):
            result = await self._ask(query)
            events = self._venue.decode_answer(query, "", result.status, result.headers, result.body)
            report = next((event for event in events if isinstance(event, OpenOrdersReport)), None)
            if report is None:
                text = f"HTTP {result.status}{answer_text(events)}"
                raise CheckFailedError(f"the venue does not list open orders: {text}", "try again later")
            count += len(report.orders)
        return f"{count} open at the venue" + ("; those of other programs are left alone" if count else "")

    async def _compare_margin(self) -> str:
        """Compare leverage and margin mode of each contract with the limits, as a session does when it begins."""
        account = self._venue.account
        assert isinstance(account, HasPositions), "`run` checked it"
        texts, wrong, to_set = [], [], []
        for each in self._instruments:
            if not each.contract:
                continue
            known = await self._margin_of(account, each)
            limits = limits_of(self._config.risk, each).margin
            differences = "; ".join(margin_differences(known, limits))
            if differences and not (limits.sets and not self._config.read_only):
                wrong.append(f"{each.symbol}: {differences}")
            elif differences:
                to_set.append(f"{each.symbol}: {differences}, which the session sets")
            else:
                texts.append(f"{each.symbol} {known.margin_mode}, leverage {plain(known.leverage)}")
        if wrong:
            raise CheckFailedError(
                f"every order would be refused: {'. '.join(wrong)}",
                "change it at the venue, or set risk.sets_margin = true, or correct risk.leverage_max and "
                "risk.margin_mode",
            )
        return "; ".join((*texts, *to_set)) or "no contract"

    async def _margin_of(self, account: HasPositions, instrument: Instrument) -> ContractMargin:
        """Return leverage and margin mode of a contract. Raises CheckFailedError if the venue does not state them."""
        query = account.contract_settings(instrument)
        result = await self._ask(query)
        events = self._venue.decode_answer(query, instrument.id, result.status, result.headers, result.body)
        report = next((event for event in events if isinstance(event, reports.MarginSettingsReport)), None)
        if report is None:
            text = f"HTTP {result.status}{answer_text(events)}"
            raise CheckFailedError(
                f"the venue does not state the margin settings of {instrument.symbol}: {text}", "try again later"
            )
        return ContractMargin(report.leverage, report.margin_mode)

    async def _open_account(self) -> str:
        return await self._open_links(LinkRole.PRIVATE, self._wanted.settings.private, "venue.private")

    # ---- the wire

    async def _ask(self, query: Unsigned) -> HttpResult:
        """Send a query and return its answer. Raises CheckFailedError if no answer comes, and NeedsKeyError."""
        assert not query.orders, f"a check sends no {query.method} {query.path}"
        if query.signed and self._wanted.key is None:
            raise NeedsKeyError
        key = self._wanted.key if query.signed else None
        result = await self._send(query, key)
        if result.status == HTTPStatus.TOO_MANY_REQUESTS:  # a check or session of this address a moment before
            await trio.sleep(LIMITED_SECONDS)
            result = await self._send(query, key)
        if result.outcome is not AnswerStatus.ANSWER:
            text = f"no answer from {self._address(query)}: {result.error}"
            raise CheckFailedError(text, "check venue.rest and this machine's network")
        return result

    async def _request_token(self, _venue: str, request: Unsigned) -> HttpResult:
        """Send the request for the token of a private link, which changes nothing but the token's life."""
        return await self._send(request, self._wanted.key)

    async def _send(self, request: Unsigned, key: SecretKey | None) -> HttpResult:
        message = self._venue.signer.sign_http(request, key, self._config.clock.now_ns() + self._offset_ns)
        return await self._sender.send(message, timeout_s=REQUEST_SECONDS_MAX, clock=self._config.clock)

    def _address(self, query: Unsigned) -> str:
        return self._wanted.settings.rest.rstrip("/") + query.path

    async def _open_links(self, role: LinkRole, base: str, setting: str) -> str:
        venue = self._venue
        plans = [plan for plan in venue.links() if plan.role is role and not plan.polled]
        if not plans:
            return f"no {role} connection to open: {venue.name} is polled"
        if self._wanted.key is None and any(one.signed for plan in plans for one in venue.subscriptions(plan.source)):
            raise NeedsKeyError
        tls = ssl.create_default_context() if base.startswith("wss:") else None
        for plan in plans:
            url = base.rstrip("/") + plan.path  # without a token: messages show it
            try:
                with trio.fail_after(REQUEST_SECONDS_MAX):
                    token = await request_token(plan, venue, self._request_token)
                    await self._subscribe(venue, plan, base.rstrip("/") + with_token(plan.path, token), tls, token)
            except TokenRefusedError as error:
                raise CheckFailedError(str(error), "check the key and its rights") from None
            except trio.TooSlowError:
                raise CheckFailedError(f"{url.partition('?')[0]} does not answer", f"correct {setting}") from None
            except WebsocketClosedError as error:
                raise CheckFailedError(f"{url.partition('?')[0]}: {error}", f"correct {setting}") from None
        return f"{base} accepts {'the subscription' if role is LinkRole.PRIVATE else 'the connection'}"

    async def _subscribe(self, venue: Venue, plan: LinkPlan, url: str, tls: ssl.SSLContext | None, token: str) -> None:
        """Open a link and subscribe on it. Raises WebsocketClosedError and CheckFailedError."""
        websocket = await open_websocket(self._wanted.transport, url, tls)
        send, receive = trio.open_memory_channel[bytes](FRAMES_MAX)
        refusal = ""

        def deliver(_recv_ns: int, messages: list[bytes]) -> bool:
            with suppress(trio.WouldBlock):
                for message in messages:
                    send.send_nowait(message)
            return True

        async def read() -> None:
            with suppress(WebsocketClosedError):
                await websocket.read(deliver)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            try:
                for number, unsigned in enumerate(venue.subscriptions(plan.source)):
                    now_ns = self._config.clock.now_ns() + self._offset_ns + number
                    frame = venue.signer.sign_frame(unsigned, self._wanted.key, now_ns, str(number))
                    await websocket.send(frame_with_token(frame, token))
                    refusal = refusal or await refusal_of(venue, plan, str(number), receive)
            except WebsocketClosedError as error:  # outside of the nursery it would be in a group
                refusal = str(error)
            finally:
                await websocket.close()
                nursery.cancel_scope.cancel()
        if refusal:
            raise CheckFailedError(f"the subscription is refused: {refusal}", "check the key and its rights")


async def check_venue_of(
    config: SessionConfig, *, allowed_rights: Mapping[str, Sequence[str]], report: Callable[[Check], None]
) -> None:
    """Make the checks at each venue, and report each; `allowed_rights` are by venue."""
    for each in config.venues:
        sender, name = make_venue_sender(each), each.settings.name
        try:
            async for check in VenueChecks(config, each, sender, allowed_rights.get(name, ())).run():
                report(check if len(config.venues) == 1 else check._replace(name=f"{name} {check.name}"))
        finally:
            with trio.CancelScope(shield=True):
                await sender.close()
