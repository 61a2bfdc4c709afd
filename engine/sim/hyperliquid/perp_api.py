"""POST /info and POST /exchange over the desks: bodies, signatures, nonces and limits. Holds no connection.

A refusal of an action comes with HTTP 200, one of its orders inside an answer that is ok. A body of another form gets
422, and an address of the network above its weight 429.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.binance.venue_api import ApiResult
from engine.sim.faults import Faults
from engine.sim.hyperliquid import action_shapes as shapes
from engine.sim.hyperliquid.action_desk import ActionDesk
from engine.sim.hyperliquid.info_desk import InfoDesk, UnreadableError, weight_of
from engine.sim.hyperliquid.signers import STALE_COST, ActionRefusedError, AddressLimits, Nonces, SignerBook
from engine.sim.wire import HttpAnswer, HttpRequest

MS: Final = 1_000_000
UNREADABLE: Final = b"Failed to deserialize the JSON body into the target type"
CANCELS: Final = (shapes.CancelOrders, shapes.CancelByCloid, shapes.ScheduleCancel, shapes.Noop)
BATCH: Final = 40  # orders that add one to the weight of an action


class PerpApi:
    """An engine.sim.venue_protocol.SimApi."""

    def __init__(
        self,
        info: InfoDesk,
        desk: ActionDesk,
        wallets: SignerBook,
        *,
        limits: RequestLimits,
        addresses: AddressLimits,
        faults: Faults,
    ) -> None:
        self._info = info
        self._desk = desk
        self._wallets = wallets
        self._limits = limits
        self._addresses = addresses
        self._faults = faults
        self._nonces = Nonces()

    def rest(self, request: HttpRequest, now_ns: int) -> ApiResult:
        """Return a request's result."""
        answer: dict[str, Callable[[bytes, int], ApiResult]] = {"/info": self._query, "/exchange": self._act}
        handler = answer.get(request.path)
        if handler is None or request.method != "POST":
            return ApiResult(status=404 if handler is None else 405, body=None, html=b"Not Found")
        try:
            return handler(request.body, now_ns)
        except (msgspec.MsgspecError, UnicodeDecodeError, UnreadableError):
            return ApiResult(status=422, body=None, html=UNREADABLE)
        except VenueRefusalError as refusal:
            return self.refused(refusal)

    def _query(self, body: bytes, now_ns: int) -> ApiResult:
        query = msgspec.json.decode(body, type=dict[str, Any])
        self._limits.spend(weight_of(query), now_ns)
        return ApiResult(status=200, body=self._info.answer(query, now_ns))

    def _act(self, body: bytes, now_ns: int) -> ApiResult:
        request = msgspec.json.decode(body, type=shapes.SignedAction)
        count, own_ns = shapes.count_of(request.action), self._faults.venue_clock_ns(now_ns)
        self._limits.spend(1 + count // BATCH, now_ns)
        try:
            address, signer = self._wallets.acting_for(request)
            account = self._wallets.account_of[address]
            traded, cancels = self._info.traded(account), isinstance(request.action, CANCELS)
            if request.expires_after is not None and request.expires_after < own_ns // MS:
                self._addresses.charge(address, STALE_COST * count, traded, now_ns, cancels=True)
                raise ActionRefusedError(f"Action expired: expiresAfter {request.expires_after}")
            self._nonces.use(signer, request.nonce, own_ns // MS)
            self._addresses.charge(address, count, traded, now_ns, cancels=cancels)
            response = self._desk.run(account, request.action, now_ns)
        except ActionRefusedError as refusal:
            return ApiResult(status=200, body={"status": "err", "response": str(refusal)})
        return ApiResult(status=200, body={"status": "ok", "response": response}, account=account)

    @staticmethod
    def refused(refusal: VenueRefusalError) -> ApiResult:
        """Return a refusal of a whole request, by a scripted fault or the weight, as a status with a text."""
        status = 429 if refusal.status == 418 else refusal.status
        return ApiResult(status=status, body=None, html=refusal.message.encode())

    def dress(self, result: ApiResult, now_ns: int) -> HttpAnswer:
        """Return a result as an HTTP answer. The venue states no weight that was used."""
        del now_ns
        if result.html:
            return HttpAnswer(status=result.status, body=result.html, headers=(("Content-Type", "text/plain"),))
        body = msgspec.json.encode(result.body)
        return HttpAnswer(status=result.status, body=body, headers=(("Content-Type", "application/json"),))
