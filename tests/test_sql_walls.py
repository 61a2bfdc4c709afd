"""`verbatim sql` cannot write: statements of each kind that DuckDB knows, through both walls, and every byte afterwards.

The first wall refuses every statement except SELECT. The second is the confined thread: here the same statements run without the first
wall, on the same connection.
"""

from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from analysis.read_only_thread import read_only
from analysis.sql_session import QueryError, SqlConnection, connect, list_views, run_query
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue

# {sealed} is a segment of the session, {canary} a folder beside it
WRITES = """
COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
COPY (SELECT 1) TO '{sealed}' (FORMAT parquet, USE_TMP_FILE false)
COPY (SELECT 1) TO '{sealed}' (FORMAT csv)
COPY (SELECT 1) TO '{canary}/new.csv'
COPY (SELECT 1) TO '{canary}/old.txt' (FORMAT csv, USE_TMP_FILE false)
COPY (SELECT 1) TO '{canary}/new.json' (FORMAT json)
COPY records TO '{canary}' (FORMAT parquet, PARTITION_BY (kind))
COPY (SELECT 1) TO '/dev/shm/verbatim-canary.csv'
EXPLAIN ANALYZE COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
EXPLAIN ANALYZE COPY (SELECT 1) TO '{sealed}' (FORMAT csv, USE_TMP_FILE false)
explain analyze copy (select 1) to '{sealed}' (format parquet, use_tmp_file false)
EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
EXPLAIN (FORMAT json) COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
EXPLAIN /* SELECT */ ANALYZE COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
/* SELECT */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
EXPLAIN EXPLAIN ANALYZE COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
EXPLAIN ANALYZE COPY (SELECT 1) TO '{canary}/new.csv'
EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1
EXPLAIN ANALYZE ATTACH '{canary}/new.duckdb'
EXPLAIN ANALYZE EXPORT DATABASE '{canary}/export'
EXPORT DATABASE '{canary}/export'
EXPORT DATABASE '{canary}/export' (FORMAT parquet)
IMPORT DATABASE '{canary}'
ATTACH '{canary}/new.duckdb'
ATTACH '{canary}/new.duckdb' AS other (TYPE duckdb)
ATTACH '{sealed}' AS other (READ_ONLY)
ATTACH ':memory:' AS other
DETACH memory
USE memory
INSTALL httpfs
FORCE INSTALL httpfs FROM '{canary}'
LOAD httpfs
LOAD '{canary}/old.txt'
UPDATE EXTENSIONS
CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')
CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')
DROP SECRET s
SET enable_external_access = true
SET GLOBAL lock_configuration = false
SET temp_directory = '{canary}'
SET allowed_directories = ['{canary}']
SET secret_directory = '{canary}'
SET home_directory = '{canary}'
SET profile_output = '{canary}/profile.json'
SET log_query_path = '{canary}/log.sql'
SET logging_storage = 'file'
SET VARIABLE v = 1
RESET enable_external_access
PRAGMA enable_profiling = 'json'
PRAGMA profile_output = '{canary}/profile.json'
PRAGMA database_list
PRAGMA import_database('{canary}')
CALL enable_logging(storage = 'file', storage_config = {{'path': '{canary}'}})
CALL enable_profiling(save_location = '{canary}/profile.json')
CALL pragma_version()
CREATE TABLE t AS SELECT 1
CREATE OR REPLACE VIEW orders AS SELECT 1
CREATE MACRO money(a) AS 1
CREATE SCHEMA s
CREATE SEQUENCE s
CREATE TYPE t AS ENUM ('a')
CREATE INDEX i ON tail_1 (seq)
DROP VIEW orders
ALTER VIEW orders RENAME TO other
INSERT INTO tail_1 SELECT * FROM tail_1
UPDATE tail_1 SET seq = 0
DELETE FROM tail_1
TRUNCATE tail_1
MERGE INTO tail_1 USING tail_1 AS o ON true WHEN MATCHED THEN DELETE
COMMENT ON VIEW orders IS 'other'
BEGIN TRANSACTION
COMMIT
CHECKPOINT
FORCE CHECKPOINT
VACUUM
ANALYZE
PREPARE p AS COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
EXECUTE p
DEALLOCATE p
SELECT 1; COPY (SELECT 1) TO '{sealed}' (USE_TMP_FILE false)
WITH a AS (SELECT 1) INSERT INTO tail_1 SELECT * FROM a
""".strip().splitlines()

READS_OF_OTHER_FILES = """
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM '/etc/passwd'
SELECT * FROM read_json('{canary}/old.txt')
SELECT * FROM read_json_objects('{canary}/old.txt')
SELECT * FROM read_parquet('{canary}/old.parquet')
SELECT * FROM parquet_metadata('{canary}/old.parquet')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM glob('/etc/pass*')
SELECT * FROM read_duckdb('{canary}/old.duckdb')
SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')
SELECT * FROM read_parquet('s3://bucket/x.parquet')
SELECT * FROM read_text('{sealed}/../../../../../../../../etc/passwd')
SELECT * FROM query('COPY (SELECT 1) TO ''{canary}/new.csv''')
SELECT * FROM query_table('/etc/passwd')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''/etc/passwd'')'))
SELECT * FROM import_database('{canary}')
SELECT * FROM enable_logging(storage = 'file', storage_config = {{'path': '{canary}'}})
SELECT * FROM enable_profiling(save_location = '{canary}/profile.json')
SELECT * FROM copy_database('memory', 'other')
SELECT * FROM python_variable
SELECT getenv('HOME')
SELECT write_csv('{canary}/new.csv')
SELECT set_config('enable_external_access', 'true')
EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')
DESCRIBE SELECT * FROM read_csv('/etc/passwd')
SUMMARIZE '/etc/passwd'
""".strip().splitlines()

READS = (
    """
SELECT count(*) FROM records
FROM orders
WITH a AS (SELECT 1 AS x) SELECT * FROM a
VALUES (1)
TABLE orders
DESCRIBE orders
SHOW TABLES
SUMMARIZE SELECT seq FROM records
EXPLAIN SELECT * FROM orders
EXPLAIN ANALYZE SELECT * FROM orders
EXPLAIN (FORMAT json) SELECT * FROM orders
  explain   analyze
  select count(*) from quotes
""".strip()
    .replace("analyze\n  select", "analyze select")
    .splitlines()
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sealed session, and a canary folder with a file of each kind that DuckDB reads."""
    root = tmp_path_factory.mktemp("walls")
    session = VirtualSession.start(VirtualVenue(seed=3), root / "journals" / "20240808T235410Z-aaaaaaaa").run(5)
    session.stop()
    other = VirtualSession.start(VirtualVenue(seed=4), root / "journals" / "20240808T235411Z-bbbbbbbb").run(5)
    other.kill()
    folder = session.folder
    canary = root / "canary"
    canary.mkdir()
    (canary / "old.txt").write_text('{"a": 1}\n')
    duckdb.execute(f"COPY (SELECT 1 AS a) TO '{canary}/old.parquet'")
    duckdb.connect(str(canary / "old.duckdb")).close()
    return folder, canary


def opened(folder: Path) -> SqlConnection:
    """Connect to both sessions: the second is a table, since nothing of it is sealed."""
    connection = connect(sorted(folder.parent.iterdir()))
    list_views(connection)  # makes all views
    return connection


def contents(*folders: Path) -> dict[str, bytes]:
    """Return every byte below the folders, without the caches that reading leaves beside segments."""
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".cache"
    }


def filled(places: tuple[Path, Path], statement: str) -> str:
    folder, canary = places
    return statement.format(sealed=next(folder.glob("*.parquet")), canary=canary)


def test_every_kind_of_statement_that_writes_is_refused(places: tuple[Path, Path]) -> None:
    folder, canary = places
    connection = opened(folder)
    before = contents(folder.parent, canary)
    for statement in WRITES:
        with pytest.raises(QueryError) as refused:
            run_query(connection, filled(places, statement))
        assert "\n" not in str(refused.value)
        assert contents(folder.parent, canary) == before, statement
    assert not Path("/dev/shm/verbatim-canary.csv").exists()


def test_the_second_wall_stands_alone(places: tuple[Path, Path]) -> None:
    """Without the check of statements, the confined connection still writes to no file."""
    if not read_only.is_confined:
        pytest.skip("this kernel has no Landlock")
    folder, canary = places
    before = contents(folder.parent, canary)
    connection, struck = opened(folder), 0
    for statement in WRITES:
        cursor = connection.cursor()

        def run(cursor: duckdb.DuckDBPyConnection = cursor, statement: str = statement) -> bool:
            try:
                cursor.execute(filled(places, statement)).fetchall()
            except duckdb.Error as error:
                return "Permission denied" in str(error)
            return False

        struck += read_only.run(run)
        assert contents(folder.parent, canary) == before, statement
    assert struck >= 8  # the fault strikes: these passed every wall of DuckDB, and the kernel refused them
    assert not Path("/dev/shm/verbatim-canary.csv").exists()


def test_no_query_reads_another_file_or_the_environment(places: tuple[Path, Path]) -> None:
    folder, canary = places
    python_variable = duckdb.connect().sql("SELECT 'secret' AS a")
    connection = opened(folder)
    before = contents(folder.parent, canary)
    for statement in READS_OF_OTHER_FILES:
        with pytest.raises(QueryError):
            run_query(connection, filled(places, statement))
        assert contents(folder.parent, canary) == before, statement
    assert python_variable.fetchall() == [("secret",)]


def test_no_secret_and_no_setting_tells_of_this_machine(places: tuple[Path, Path]) -> None:
    connection = opened(places[0])
    assert run_query(connection, "SELECT * FROM duckdb_secrets()").rows == []
    locked = run_query(
        connection,
        "SELECT name, value FROM duckdb_settings() WHERE name IN "
        "('enable_external_access', 'lock_configuration', 'temp_directory', 'python_enable_replacements') ORDER BY name",
    ).rows
    assert locked == [
        ("enable_external_access", "false"),
        ("lock_configuration", "true"),
        ("python_enable_replacements", "false"),
        ("temp_directory", ""),
    ]


@pytest.mark.slow
def test_reading_statements_still_run(places: tuple[Path, Path]) -> None:
    connection = opened(places[0])
    for statement in READS:
        assert run_query(connection, statement).columns, statement


def test_the_command_refuses_explain_analyze_copy(places: tuple[Path, Path]) -> None:
    """The report of issue 11: the command destroyed a sealed segment."""
    folder, _ = places
    before = contents(folder.parent)
    query = filled(places, "explain analyze copy (select 1) to '{sealed}' (format parquet, use_tmp_file false)")
    result = CliRunner().invoke(main, ["sql", str(folder), query])
    assert result.exit_code == 3
    assert "EXPLAIN of anything but SELECT is refused" in result.output
    assert contents(folder.parent) == before
