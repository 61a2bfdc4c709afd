"""Refusals of access: a key that the venue refuses, or a firewall's 403. One stops trading for a while; many halt."""

from typing import Final

from engine.bodies import NoteLevel
from engine.events import Answer, Outcome
from engine.facts import AccessRefused
from engine.handlers.market_triggers import halt_account
from engine.mode_reasons import key_refused
from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext

WAIT_NS_MAX: Final = 900 * SECOND_NS
PROBES: Final = (Purpose.CANCEL, Purpose.OPEN_ORDERS)  # requests of a safety order while a venue refuses access


def refuse_access(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Stop trading for a while that doubles; halt if refusals lasted or were many. A recording only raises an alarm."""
    settings, venue = session.settings, pending.request.venue
    text = answer.coded_text
    if not settings.access_wait_ns or not step.account.links.has_account:
        halt_account(step, key_refused(venue, text))
        return
    if not answer.code:
        text = f"a refusal without an error of the venue: {answer.text}" if answer.text else "a refusal without text"
    known, now_ns = step.account.access.by_venue.get(venue), step.time_ns
    wait_ns = min(settings.access_wait_ns << (0 if known is None else min(known.waits, 10)), WAIT_NS_MAX)
    if known is None:
        seconds = wait_ns // SECOND_NS
        step.note(NoteLevel.ALARM, f"{venue} refused access: {text}; nothing is placed for {seconds} s")
    until_ns = now_ns + wait_ns if known is None or now_ns >= known.until_ns else known.until_ns
    step.emit(AccessRefused(venue, until_ns, text, is_key=bool(answer.code), purpose=pending.request.purpose))
    refusal = step.account.access.by_venue[venue]
    has_lasted = now_ns - refusal.since_ns >= settings.access_halt_after_ns
    if has_lasted or refusal.refusals >= settings.access_halt_refusals:
        seconds = (now_ns - refusal.since_ns) // SECOND_NS
        halt_account(step, key_refused(venue, f"{text} ({refusal.refusals} refusals in {seconds} s)"))


def admit(step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Forget the refusals of a venue whose wait is over, if an answer proves access.

    The proof is an answer to a request of the kind that was refused, or any after a second wait without a refusal. A
    safety order does not wait: a request that it sent as a probe proves access at once.
    """
    refusal = step.account.access.by_venue.get(pending.request.venue)
    if refusal is None or answer.outcome is not Outcome.DONE:
        return
    unsigned, purpose = pending.request.unsigned, pending.request.purpose
    is_probe = bool(step.account.safety.active) and purpose in PROBES
    if step.time_ns < refusal.until_ns and not is_probe:
        return
    is_same = is_probe or purpose == refusal.purpose
    is_calm = step.time_ns - refusal.until_ns >= refusal.until_ns - refusal.set_ns
    if unsigned is not None and (unsigned.signed or not refusal.is_key) and (is_same or is_calm):
        step.emit(AccessRefused(pending.request.venue, 0, ""))
