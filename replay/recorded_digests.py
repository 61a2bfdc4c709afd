"""Digests of a state as the session's own schema has them: a CHECKPOINT of an older session states these."""

import json
from hashlib import sha256

from engine.state.session_state import PART_VERSION, State, checkpoint_parts
from engine.upcast import SCHEMA, account_part_as_of
from journal.record import canonical


def digests_as_of(schema: int, state: State) -> dict[str, tuple[int, str]]:
    """Return part -> (version, digest), with the names and versions that `schema` has."""
    parts = state.digests()
    if schema == SCHEMA:
        return parts
    for name in checkpoint_parts(state.account):
        values = json.loads(canonical(getattr(state.account, name)))
        text = canonical(account_part_as_of(schema, name, values))
        parts[f"account.{name}"] = (PART_VERSION, sha256(text.encode()).hexdigest())
    return parts
