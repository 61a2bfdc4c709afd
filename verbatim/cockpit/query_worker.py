"""A process that answers SQL for the cockpit, so that a query which runs too long or too large can be ended.

Reads one JSON line for each query and writes one JSON line with the rows. It keeps the connection of the session's
views (analysis/sql_session.py), which reads and cannot write. Memory is bounded by the system.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

from analysis import sql_session
from analysis.result_text import value_text
from journal.errors import JournalError

MEMORY_BYTES_MAX = 6 * 2**30
CELL_CHARACTERS_MAX = 20_000


def answer(connection: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return the rows of one query as texts, or an error in one line."""
    try:
        result = sql_session.run_query(connection, str(request["query"]), int(request["limit"]))
    except sql_session.QueryError as error:
        return {"error": str(error)}
    rows = [
        [None if value is None else value_text(value)[:CELL_CHARACTERS_MAX] for value in row] for row in result.rows
    ]
    return {"columns": list(result.columns), "types": list(result.types), "rows": rows, "more": result.more}


def main() -> None:
    """Answer queries until the input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, hard))
    connection = None
    for line in sys.stdin:
        try:
            if connection is None:
                connection = sql_session.connect(Path(sys.argv[1]))
            found = answer(connection, json.loads(line))
        except (JournalError, MemoryError, OSError) as error:
            found = {"error": " ".join(str(error).split()) or type(error).__name__}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
