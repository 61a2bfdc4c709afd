"""Sessions of a newer version: what an older one must not decide by. Reading them is allowed."""

from engine import session_record, upcast
from engine.errors import NewerSessionError
from engine.session_record import SessionBody


def refuse_newer(body: SessionBody) -> None:
    """Refuse a session whose names or rules this version does not know: to decide by it would be wrong in silence.

    Raises:
        NewerSessionError: The text names what is newer.
    """
    stated = {
        "schema": (body.schema, upcast.SCHEMA),
        "accounting": (body.engine.accounting, session_record.ACCOUNTING),
        "order_rules": (body.engine.order_rules, session_record.ORDER_RULES),
        "bar_rules": (body.engine.bar_rules, session_record.BAR_RULES),
    }
    newer = [f"{name} {found} (here at most {known})" for name, (found, known) in stated.items() if found > known]
    if newer:
        raise NewerSessionError(
            f"session {body.session} was recorded by a newer version of Verbatim: {', '.join(newer)}. "
            "What to do: use that version"
        )
