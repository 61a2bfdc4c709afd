"""The views as one SQL file for people who query sealed sessions with DuckDB alone.

`python -m analysis.plain_sql` prints it; docs/plain_parquet.sql is its output. The views are those of analysis/sql,
except the market's quotes and trades, since only a venue's decoder reads them; the refusals of requests are NULL.
"""

import sys

from analysis.sql_macros import macros
from analysis.sql_views import view_summary, view_texts

HEAD = """\
-- The views of `verbatim sql` over the Parquet files of sealed sessions, for DuckDB without Verbatim.
--
--   duckdb -cmd "SET VARIABLE journals = 'journals/*/*.parquet'" -init plain_parquet.sql
--   or in any client: SET VARIABLE journals = '...'; then run this file.
--
-- The path may be a list, and an address such as s3://bucket/folder/*/*.parquet with the extension httpfs.
-- Records that no sealed file has yet (the *.open file of a running or killed session) are missing.
-- quotes and trades need the decoders of venues: `verbatim export SESSION FOLDER` writes them as Parquet files.
-- The market's messages are in the view `feed`, as the venue sent them: FROM feed SELECT text->>'$.data.b'.
-- Made by `python -m analysis.plain_sql`; tests/test_plain_parquet.py runs it.
"""
JOURNAL = """\
-- The id of a session is the end of its folder's name; other folders count by their whole name.
CREATE OR REPLACE VIEW journal AS
SELECT coalesce(nullif(regexp_extract(filename, '-([a-z2-7]{8})/[^/]+$', 1), ''),
                regexp_extract(filename, '([^/]+)/[^/]+$', 1)) AS session,
       seq, time_ns, recv_ns, kind, source, cause, key, meta, payload, body
FROM read_parquet(getvariable('journals'), filename = true)
"""
FEED = """\
-- The market's messages as the venue sent them, as JSON where they are JSON.
CREATE OR REPLACE VIEW feed AS
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, source, as_json(wire(payload)) AS text
FROM journal
WHERE kind = 'FEED' AND meta IS NULL
"""
REFUSAL = (
    "refusal(session, source, request, status, headers, payload) AS CAST(NULL AS STRUCT(code VARCHAR, text VARCHAR))"
)
DECODED = ("quotes", "trades")  # views of decoded rows


def plain_sql() -> str:
    """Return the text of the SQL file."""
    parts = [HEAD]
    parts += [f"CREATE OR REPLACE MACRO {macro};\n" for macro in (*macros(), REFUSAL)]
    parts += [JOURNAL.rstrip() + ";\n", FEED.rstrip() + ";\n"]
    for name, text in view_texts():
        if name not in DECODED:
            query = text.partition("\n")[2].strip()
            parts.append(f"-- {view_summary(text)}\nCREATE OR REPLACE VIEW {name} AS\n{query};\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(plain_sql())
