"""All views of a session as Parquet files, for tools that do not read journals."""

from pathlib import Path

from analysis.sql_session import connect, export_parquet, list_views
from journal.errors import DamagedJournalError
from journal.export import atomic_output
from journal.verify import verify


def export_views(folder: Path, target: Path) -> int:
    """Verify a session, write each of its views to a Parquet file in a new folder, and return the number of rows.

    Raises:
        DamagedJournalError: The session is damaged. DuckDB checks no checksum.
    """
    if problems := verify(folder).problems:
        raise DamagedJournalError(folder, problems[0], "export the whole part as a file, with --to")
    connection = connect(folder)
    with atomic_output(target) as partial:
        partial.mkdir()
        return sum(
            export_parquet(connection, view.name, partial / f"{view.name}.parquet") for view in list_views(connection)
        )
