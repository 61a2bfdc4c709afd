"""The dead-man switch of venues that have one: armed again and again while orders may rest, so our silence cancels.

The requests are records, as all requests. A venue may cancel the orders of other programs on the instrument too, or,
where its switch is one for the whole account, those of all instruments.
"""

from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS
from engine.step_context import StepContext

ARMED_AGAIN = 3  # times within the venue's wait, so that one lost request cancels nothing


def arm_switches(session: SessionContext, step: StepContext) -> None:
    """Arm the due switches: of each instrument that has, or had, a live order of ours."""
    wait_ns = session.body.safety.dead_man_ns
    if not wait_ns or step.account.modes.stopping_since_ns or not session.accounts.have_dead_man_switch:
        return
    safety = step.account.safety
    live = {order.order.instrument for order in step.account.orders.live.values() if session.is_ours(order, safety)}
    for name in sorted(live.union(step.account.safety.armed_ns)):
        instrument = session.instruments.get(name)
        if instrument is None or not session.accounts.has_account_for(name):
            continue
        factory = session.factories[instrument.venue]
        if not factory.has_dead_man_switch:
            continue
        names = [each.id for each in factory.venue.instruments] if factory.venue.capabilities.one_switch else [name]
        known = [at_ns for each in names if (at_ns := step.account.safety.armed_ns.get(each)) is not None]
        armed_ns = max(known, default=None)
        is_due = armed_ns is None or step.time_ns - armed_ns >= wait_ns // ARMED_AGAIN
        is_blocked = step.time_ns < step.account.limits.get(instrument.venue).blocked_until_ns
        is_pending = any(step.account.requests.find(Purpose.ARM_SWITCH, instrument=each) for each in names)
        if is_due and not is_blocked and not is_pending:
            factory.dead_man_switch(step, instrument=instrument, timeout_ms=wait_ns // MILLISECOND_NS)


def disarm_switches(session: SessionContext, step: StepContext) -> None:
    """Disarm every switch before an ordered end, since it would later cancel orders that are not ours to cancel."""
    for name in sorted(step.account.safety.armed_ns):
        instrument = session.instruments[name]
        session.factories[instrument.venue].dead_man_switch(step, instrument=instrument, timeout_ms=0)
