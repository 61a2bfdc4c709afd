"""The engine's mode. One small machine: STARTING -> SYNCING -> RUNNING <-> PAUSED -> HALTED; HALTED is a latch.

Which mode is right is decided in engine/handlers/mode_policy.py; here is what was decided, and what a person ordered.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import ModeChanged, SessionClosing
from engine.mode_reasons import Mode
from engine.session_record import MILLISECOND_NS
from engine.state.changes import Change, Commanded, LinkMoved, Stamp

CLOCK_JUMP_NS = 250 * MILLISECOND_NS  # the wall clock moved against session time: timestamps can no longer be trusted


class ModeState(msgspec.Struct, frozen=True):
    mode: Mode = Mode.STARTING
    reasons: tuple[str, ...] = ()
    since_ns: int = 0
    paused_by: str = ""  # "" or who asked for it
    halted_for: str = ""  # "" or why
    stopping_since_ns: int = 0  # 0: not stopping
    closing: bool = False
    drift_ns: int = 0  # wall clock minus session time, as last heard
    distrust_seq: int = 0  # what was known up to here may have holes: RUNNING needs a reconciliation begun after it


def reduce(modes: ModeState, change: Change, at: Stamp) -> ModeState:
    match change:
        case ModeChanged():
            halted_for = modes.halted_for
            if change.mode == Mode.HALTED and not halted_for:
                halted_for = "; ".join(change.reasons)
            left = modes.mode is Mode.RUNNING and change.mode in (Mode.SYNCING, Mode.HALTED)
            return replace(
                modes,
                mode=change.mode,
                reasons=change.reasons,
                since_ns=at.time_ns,
                halted_for=halted_for,
                distrust_seq=at.seq if left else modes.distrust_seq,
            )
        case LinkMoved() if change.link.state == "clock":
            # a jump is a change of the drift: one that stands still was judged when it came
            jumped = abs(change.link.drift_ns - modes.drift_ns) > CLOCK_JUMP_NS
            return replace(modes, drift_ns=change.link.drift_ns, distrust_seq=at.seq if jumped else modes.distrust_seq)
        case LinkMoved() if change.link.state == "down":
            return replace(modes, distrust_seq=at.seq)
        case SessionClosing():
            return replace(modes, closing=True)
        case Commanded():
            return _commanded(modes, change, at)
        case _:
            return modes


def _commanded(modes: ModeState, change: Commanded, at: Stamp) -> ModeState:
    who = change.command.by or "operator"
    match change.command.command:
        case "pause":
            return replace(modes, paused_by=who)
        case "resume":
            return replace(modes, paused_by="", halted_for="", distrust_seq=at.seq)
        case "decide":  # a resimulation's, of a pause that is its own: nothing was missed meanwhile
            return replace(modes, paused_by="")
        case "halt":
            return replace(modes, halted_for=change.command.reason or f"ordered by {who}")
        case "stop" if not modes.stopping_since_ns:
            return replace(modes, stopping_since_ns=max(at.time_ns, 1))
        case _:
            return modes
