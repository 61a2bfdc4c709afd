"""A session is repeated exactly. A change in the code, the limits or the journal is found and reported."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from engine.session_record import RiskSettings, read_session
from journal.reader import Journal
from journal.record import Kind, canonical
from journal.verify import verify
from replay.code_trust import UntrustedSourceError
from replay.overrides import UnknownOverrideError, parse_settings, replacement_for
from replay.replay import ReplayResult, replay_session
from tests.replaying import QUOTER, first_record, killed_in_second_frame, reseal, sealed, session
from verbatim.testing import from_sources

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session that traded, closed and was sealed."""
    return sealed(tmp_path_factory.mktemp("journals") / "s")


def with_strategy(folder: Path, source: str) -> ReplayResult:
    recorded = read_session(Journal.open(folder).session_record().body or "")
    new = replacement_for(recorded, from_sources({"quoter": source}, "quoter", "Quoter"))
    return replay_session(folder, strategies={new.name: new})


# ---- the same ----------------------------------------------------------------------------------


def test_replay_repeats_a_closed_session_exactly(folder: Path) -> None:
    verdict = replay_session(folder)
    assert verdict.difference is None
    assert verdict.identical
    assert verdict.text().endswith("\nreplay: identical")
    assert verdict.records == Journal.open(folder).last_seq + 1 == verdict.inputs + verdict.outputs
    assert verdict.checkpoints > 5
    assert verdict.not_compared == ()
    assert any(record.kind is Kind.REQUEST and record.key for record in Journal.open(folder).records()), "it traded"


def test_replay_repeats_an_open_session(tmp_path: Path) -> None:
    killed = session(tmp_path / "s", seconds=3).kill()
    assert not Journal.open(killed).closed
    assert replay_session(killed).identical


def test_replay_ends_at_a_given_record(folder: Path) -> None:
    """End in the middle of a step too: its later outputs are not missed."""
    intent = first_record(folder, lambda record: record.kind is Kind.INTENT)
    verdict = replay_session(folder, until=intent.seq)
    assert verdict.identical
    assert verdict.records == intent.seq + 1
    by_time = replay_session(folder, until_ns=intent.time_ns)
    assert by_time.identical
    assert by_time.records >= verdict.records


def test_replay_restores_orders_of_a_killed_session(tmp_path: Path) -> None:
    """Begin with the state of a session that was killed."""
    first = session(tmp_path / "a", seconds=2)
    first.kill()
    from verbatim.testing import VirtualSession

    second = VirtualSession(
        first.venue,
        tmp_path / "b",
        strategies=first.body.strategies,
        session="bbbbbbbb",
        previous=first,
        opening=first.state,
    ).run(3)
    second.stop()
    assert replay_session(tmp_path / "b").identical


# ---- what a person changed ---------------------------------------------------------------------


def test_a_changed_strategy_line_is_reported_with_its_causes(folder: Path) -> None:
    verdict = with_strategy(
        folder, QUOTER.replace("Side.BUY, parameters.size, quote.bid", "Side.BUY, parameters.size * 2, quote.bid")
    )
    difference = verdict.difference
    intent = first_record(folder, lambda record: record.kind is Kind.INTENT)
    assert difference is not None
    assert difference.seq == intent.seq, "the first intent is the first that differs"
    assert (
        difference.what
        == 'INTENT of strategy.quoter differs in body (order.quantity: recorded "0.001", replayed "0.002")'
    )
    kinds = [line.split()[2] for line in difference.chain]
    assert kinds == ["INTENT", "TIMER", "FEED", "LINK", "REQUEST", "SESSION"], (
        "from the wish back to the session's begin"
    )
    assert "quote BTCUSDT: bid " in difference.chain[2], "the market message it was decided on, decoded"
    assert difference.command.endswith(f"--until {intent.seq} --explain")
    text = verdict.text()
    assert text.endswith(f"\nreplay: differs at seq {intent.seq}")
    assert "exact up to here; the replay ends because the venue's answers beyond are not recorded" in text


def test_a_changed_strategy_state_is_reported_with_its_quote(folder: Path) -> None:
    """Report the FACT of the state, whose cause is a TIMER, with the quote that triggered the strategy.

    No intent names that quote.
    """
    verdict = with_strategy(folder, QUOTER.replace("state.quotes += 1", "state.quotes += 2"))
    difference = verdict.difference
    intent = first_record(folder, lambda record: record.kind is Kind.INTENT)
    assert difference is not None
    assert "FACT strategy_changed differs" in difference.what
    kinds = [line.split()[2] for line in difference.chain]
    assert kinds == ["FACT", "TIMER", "FEED", "LINK", "REQUEST", "SESSION"]
    assert "quote BTCUSDT: bid " in difference.chain[2]
    assert difference.chain[2].endswith("(the quote it was decided on)")
    assert int(difference.chain[2].split()[0]) == json.loads(intent.body or "")["rationale"]["quote_seq"]


def test_a_changed_risk_limit_is_reported_at_the_first_changed_verdict(folder: Path) -> None:
    verdict = replay_session(folder, overrides={"risk.order_size_max": "0.0005"})
    first = first_record(folder, lambda record: record.kind is Kind.VERDICT)
    assert verdict.difference is not None
    assert verdict.difference.seq == first.seq
    assert "approved: recorded true, replayed false" in verdict.difference.what
    assert [line.split()[2] for line in verdict.difference.chain][:2] == ["VERDICT", "INTENT"]
    assert verdict.changes == ("risk.order_size_max = 0.0005",)


def test_an_override_without_effect_replays_identically(folder: Path) -> None:
    assert not replay_session(folder, overrides={"strategy.quoter.size": "0.002"}).identical
    assert not replay_session(folder, overrides={"strategy.quoter.parameters.size": "0.002"}).identical, (
        "as in the TOML"
    )
    assert replay_session(folder, overrides={"risk.order_size_max": "1000"}).identical


def test_a_changed_cadence_differs_at_the_first_timer(folder: Path) -> None:
    verdict = with_strategy(folder, QUOTER.replace("throttle_ms=100", "throttle_ms=150"))
    assert verdict.difference is not None
    assert "throttle.quoter" in verdict.difference.what or "CHECKPOINT" in verdict.difference.what


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "risk.order_sise_max=1",
            "unknown setting 'risk.order_sise_max' (did you mean 'order_size_max'?); known: account, balance_tolerance",
        ),
        ("risk.order_size_max=much", "risk.order_size_max=much: Invalid decimal string"),
        ("colour=blue", "'colour' cannot be set; use risk.NAME, rule.RULE.SETTING, engine.NAME or"),
        ("strategy.crosser.size=1", "'strategy.crosser.size': the session has no strategy 'crosser'; it has: quoter"),
        ("strategy.quoter.colour=1", "unknown parameter 'colour'; known: size"),
        ("risk.order_size_max=nan", "risk.order_size_max=nan: a number must be finite"),
        ("risk.position_max=-Infinity", "a number must be finite"),
        ("risk.position_max=-1", "risk.position_max=-1: a number must not be negative"),
        ("risk.open_orders_max=-1", "a number must not be negative"),
        ("risk.market_slippage_max=1", "the number must be less than 1"),
        ("engine.checkpoint_every=0", "engine.checkpoint_every=0: the number must be greater than 0"),
        ("engine.watch_every_ns=0", "the number must be greater than 0"),
        ("strategy.quoter.size=nan", "strategy.quoter.size=nan: a number must be finite"),
        ("strategy.quoter.parameters.colour=1", "unknown parameter 'colour'; known: size"),
        ("risk.order_size_max", "'risk.order_size_max' is not a setting; write NAME=VALUE"),
    ],
)
def test_an_unknown_override_is_one_clear_line(folder: Path, setting: str, said: str) -> None:
    with pytest.raises(UnknownOverrideError) as caught:
        replay_session(folder, overrides=parse_settings([setting]))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_of_another_machine_needs_trust_code(folder: Path) -> None:
    with pytest.raises(UntrustedSourceError, match=r"recorded on another machine.*quoter.*--trust-code"):
        replay_session(folder, trust_code=False, trust_key=b"k" * 32)


# ---- altered journals --------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x01
    path.write_bytes(data)


def test_verify_finds_a_flipped_byte_in_a_sealed_segment(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "s", seconds=2)
    assert verify(folder).ok
    path = next(folder.glob("*.parquet"))
    flip(path, path.stat().st_size // 2)
    assert not verify(folder).ok


def test_verify_finds_a_flipped_byte_in_an_open_segment(tmp_path: Path) -> None:
    folder = killed_in_second_frame(tmp_path / "s")
    assert verify(folder).ok
    path = next(folder.glob("*.open"))
    flip(path, 200)
    assert not verify(folder).ok


def test_replay_finds_an_altered_price_under_valid_checksums(folder: Path, tmp_path: Path) -> None:
    """Seal the altered record again, so that verify finds nothing."""
    intent = first_record(folder, lambda record: record.kind is Kind.INTENT)
    quote_seq = json.loads(intent.body or "")["rationale"]["quote_seq"]
    quote = first_record(folder, lambda record: record.seq == quote_seq)
    at = (quote.payload or b"").index(b'"b":"') + 6
    altered = bytearray(quote.payload or b"")
    altered[at] = ord("4") if altered[at] != ord("4") else ord("3")
    copy = reseal(folder, tmp_path / "copy", quote_seq, payload=bytes(altered))
    assert verify(copy).ok
    verdict = replay_session(copy)
    assert verdict.difference is not None
    assert verdict.difference.seq <= intent.seq
    assert not replay_session(copy, until=verdict.difference.seq).identical, "the command given repeats it"


def test_replay_finds_an_altered_byte_without_effect_at_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    """Alter a digit of the venue's event time in the last market message: only the last CHECKPOINT depends on it."""
    last = max(
        record.seq
        for record in Journal.open(folder).records()
        if record.kind is Kind.FEED and record.meta is None and b'"E":' in (record.payload or b"")
    )
    frame = first_record(folder, lambda record: record.seq == last)
    at = (frame.payload or b"").index(b'"E":') + 10
    altered = bytearray(frame.payload or b"")
    altered[at] = ord("7") if altered[at] != ord("7") else ord("8")
    verdict = replay_session(reseal(folder, tmp_path / "copy", last, payload=bytes(altered)))
    assert verdict.difference is not None
    assert verdict.difference.what.startswith("CHECKPOINT: other state in ")
    assert "inputs" in verdict.difference.what


def test_replay_finds_an_altered_output(folder: Path, tmp_path: Path) -> None:
    fact = first_record(folder, lambda record: '"fact":"order_filled"' in (record.body or ""))
    body = json.loads(fact.body or "") | {"price": "1"}
    verdict = replay_session(reseal(folder, tmp_path / "copy", fact.seq, body=canonical(body)))
    assert verdict.difference is not None
    assert verdict.difference.seq == fact.seq
    assert 'FACT order_filled differs in body (price: recorded "1", replayed ' in verdict.difference.what


@pytest.mark.parametrize("field", ["source", "time_ns"])
def test_replay_finds_an_altered_timer(folder: Path, tmp_path: Path, field: str) -> None:
    timer = first_record(folder, lambda record: record.kind is Kind.TIMER)
    new = {"source": "somebody"} if field == "source" else {"time_ns": timer.time_ns + 1}
    verdict = replay_session(reseal(folder, tmp_path / "copy", timer.seq, **new))
    assert verdict.difference is not None
    assert verdict.difference.seq == timer.seq


def test_replay_finds_a_missing_timer(folder: Path, tmp_path: Path) -> None:
    """Put a NOTE of the market after the due time in its place."""
    timer = first_record(folder, lambda record: record.kind is Kind.TIMER and "check" in (record.body or ""))
    feed = first_record(folder, lambda record: record.kind is Kind.FEED and record.meta is None)
    fields = {"kind": Kind.FEED, "source": feed.source, "payload": feed.payload, "body": None, "meta": None}
    verdict = replay_session(reseal(folder, tmp_path / "copy", timer.seq, **fields))
    assert verdict.difference is not None
    assert verdict.difference.seq == timer.seq
    assert "but first check was due at" in verdict.difference.what


@pytest.mark.parametrize("inputs_kept", [0.5, 0.9])
def test_replay_finds_a_missing_end_under_valid_checksums(folder: Path, tmp_path: Path, inputs_kept: float) -> None:
    """Remove whole steps and seal the rest again: verify finds nothing, and every remaining record is equal."""
    last = int(Journal.open(folder).last_seq * inputs_kept)
    cut = reseal(folder, tmp_path / "cut", until=last)
    report = verify(cut)
    assert (report.ok, report.closed) == (True, True)
    verdict = replay_session(cut)
    assert verdict.difference is not None
    assert verdict.difference.seq == Journal.open(cut).last_seq
    assert "sealed as closed" in verdict.difference.what
    assert "its end is missing" in verdict.difference.what
    assert verdict.difference.chain
    assert not replay_session(cut, until=verdict.difference.seq).identical, "the command given repeats it"
    assert replay_session(cut, until=verdict.difference.seq - 1).identical


# ---- sameness everywhere -----------------------------------------------------------------------


@pytest.mark.slow
def test_s25_twenty_hash_seeds_give_one_digest(tmp_path: Path) -> None:
    """Show that nothing depends on the order of a set or on an address."""
    folder = sealed(tmp_path / "s", seconds=1.5, risk=RiskSettings(order_size_max=Decimal(1)))
    program = (
        "import sys; from pathlib import Path; from replay.replay import replay_session; "
        "verdict = replay_session(Path(sys.argv[1])); print(verdict.identical, verdict.digest_final)"
    )
    said = set()
    for seed in range(20):
        ended = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": str(seed), "VERBATIM_JIT": "0", "PATH": "", "PYTHONPATH": str(ROOT)},
        )
        said.add(ended.stdout.strip())
    assert len(said) == 1
    assert said.pop().startswith("True ")
