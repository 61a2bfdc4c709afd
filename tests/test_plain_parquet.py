"""docs/plain_parquet.sql: the views over sealed sessions in DuckDB alone, as `verbatim sql` answers them."""

from pathlib import Path

import duckdb
import pytest

import verbatim
from analysis.plain_sql import DECODED, plain_sql
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "plain_parquet.sql"
UNDECODED = ("venue_code", "error_code", "error")  # of requests: a refusal's words are in the venue's own form


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two closed sessions."""
    root = tmp_path_factory.mktemp("plain") / "journals"
    quoter = strategy_settings(ROOT / "examples" / "quoter.py", "Quoter", name="quoter")
    for seed, name in ((1, "aaaaaaaa"), (2, "bbbbbbbb")):
        folder = root / f"20240808T23541{seed}Z-{name}"
        VirtualSession(VirtualVenue(seed=seed), folder, strategies=[quoter], session=name).run(5).stop()
    return root


def test_the_file_is_made_of_the_views() -> None:
    assert FILE.read_text() == plain_sql(), f"write it again: python -m analysis.plain_sql > {FILE.relative_to(ROOT)}"


@pytest.mark.slow
def test_each_view_has_the_same_rows(journals: Path) -> None:
    plain = duckdb.connect(":memory:")
    plain.execute(f"SET VARIABLE journals = '{journals}/*/*.parquet'")
    plain.execute(FILE.read_text())
    ours = verbatim.open(journals)
    compared = 0
    for view in ours.views:
        if view.name in DECODED:
            continue
        columns = [name for name, _ in view.columns if name not in UNDECODED]
        expected = ours.sql(f"SELECT {', '.join(columns)} FROM {view.name} ORDER BY ALL").result()
        found = plain.execute(f"SELECT {', '.join(columns)} FROM {view.name} ORDER BY ALL").fetchall()
        assert found == expected.rows, view.name
        compared += bool(found)
    assert compared >= 10
    messages = plain.execute("SELECT count(*) FROM feed WHERE text->>'$.data.b' IS NOT NULL").fetchone()
    assert messages is not None
    assert messages[0] > len(ours.quotes()) > 0
