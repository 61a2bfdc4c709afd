"""Orders are sent only in mode RUNNING of a session that is not stopping."""

from engine.mode_reasons import Mode, texts
from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the mode allows no new order, or ""."""
    modes = context.account.modes
    if modes.mode is not Mode.RUNNING:
        return f"mode is {modes.mode}: {texts(modes.reasons)}"
    return "the session is stopping" if modes.stopping_since_ns else ""


RULE = RiskRule(reject_reason, name="mode")
