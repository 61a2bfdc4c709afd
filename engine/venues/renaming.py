"""Events and ids of a dialect whose messages name no venue, for a venue under another name than the dialect's own."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.events import Event
from engine.model import Instrument


def renamed_id(instrument_id: str, old: str, new: str) -> str:
    """Return an instrument's id below another venue's name. Other text stays as it is."""
    return f"{new}:{instrument_id.removeprefix(f'{old}:')}" if instrument_id.startswith(f"{old}:") else instrument_id


def renamed_events(events: Sequence[Event], old: str, new: str) -> tuple[Event, ...]:
    """Return events whose instruments are those of the venue `new`, not of `old`."""
    return tuple(events) if old == new else tuple(_renamed(event, old, new) for event in events)


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, Instrument):
        return msgspec.structs.replace(value, id=renamed_id(value.id, old, new), venue=new)
    changed: dict[str, Any] = {}
    for field in value.__struct_fields__:
        part = getattr(value, field)
        if field == "instrument":
            changed[field] = renamed_id(part, old, new)
        elif isinstance(part, tuple) and part and isinstance(part[0], msgspec.Struct):
            changed[field] = tuple(_renamed(one, old, new) for one in part)
        elif isinstance(part, msgspec.Struct):
            changed[field] = _renamed(part, old, new)
    return msgspec.structs.replace(value, **changed) if changed else value
