"""Bounds of the tools and the mark of recorded text (docs/assistants.md). Loads nothing: the server needs little."""

SECONDS_MAX = 30.0  # of one call; clients wait for a minute
MEMORY_BYTES_MAX = 6 * 2**30  # of the process that answers
ANSWER_CHARACTERS_MAX = 30_000  # about 10,000 tokens: clients refuse much longer answers
LINE_CHARACTERS_MAX = 2_000
QUERY_CHARACTERS_MAX = 20_000
ROWS_MAX = 1_000  # of a query
ROWS = 100  # of a query that names no limit
DECISIONS = 20  # of a comparison
SESSIONS_MAX = 200  # of the list, the newest
ROW_SECONDS_MAX = 10.0  # to count the records of the listed sessions; later ones are listed by name

MARK = "| "  # begins each line of recorded text
