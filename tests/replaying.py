"""Helpers of the replay tests: short sessions in virtual time, and a journal rewritten with one record altered."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.session_record import EngineSettings, RiskSettings
from journal.reader import Journal
from journal.record import INPUTS, Record
from journal.writer import JournalWriter
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

QUOTER = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, OnQuote, Place, Side


class Quoter:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=100)

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        quotes: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        state.quotes += 1
        orders = view.orders("BTCUSDT")
        for order in orders:
            if order.order.price not in (quote.bid, quote.ask):
                yield Cancel(order.client_order_id)
        sides = {order.order.side for order in orders}
        if Side.BUY not in sides:
            yield Place("BTCUSDT", Side.BUY, parameters.size, quote.bid, because={"quotes": state.quotes})
        if Side.SELL not in sides:
            yield Place("BTCUSDT", Side.SELL, parameters.size, quote.ask, because={"quotes": state.quotes})
"""


def git(folder: Path, *words: str) -> None:
    """Run git with a fixed author and without signing, independent of the configuration of the machine."""
    who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def session(
    folder: Path,
    *,
    source: str = QUOTER,
    seconds: float = 5,
    checkpoint_every: int = 100,
    risk: RiskSettings | None = None,
    **settings: Any,
) -> VirtualSession:
    """Run a session for some seconds. The caller stops or kills it."""
    return VirtualSession(
        VirtualVenue(seed=3, balances={"USDT": "1000000", "BTC": "20"}),
        folder,
        strategies=[from_sources({"quoter": source}, "quoter", "Quoter")],
        engine=EngineSettings(checkpoint_every=checkpoint_every),
        risk=risk,
        **settings,
    ).run(seconds)


def killed_in_second_frame(folder: Path) -> Path:
    """Kill a session in its second frame, after the first frame is durable.

    The second frame states that, so the test waits for it: virtual time alone is too fast.
    """
    running = session(folder, seconds=1)
    running.writer.wait_durable(running.records[-1].seq, 60)
    return running.run(1).kill()


def sealed(folder: Path, **settings: Any) -> Path:
    found = session(folder, **settings)
    found.stop()
    return folder


def reseal(old: Path, new: Path, seq: int = -1, *, until: int | None = None, **changes: Any) -> Path:
    """Copy a session with valid checksums and one change, through the journal's own writer.

    Args:
        old: The session.
        new: The folder to write.
        seq: The record to change.
        until: End with the step of this record.
        changes: The new values of the record's fields.
    """
    writer = JournalWriter.create(new, sync=False)
    step: list[Record] = []
    for record in Journal.open(old).records():
        if record.kind in INPUTS and step:
            writer.append_step(step)
            step = []
            if until is not None and record.seq > until:
                break
        step.append(msgspec.structs.replace(record, **changes) if record.seq == seq else record)
    if step:
        writer.append_step(step)
    writer.close()
    return new


def first_record(folder: Path, wanted: Callable[[Record], bool]) -> Record:
    return next(record for record in Journal.open(folder).records() if wanted(record))
