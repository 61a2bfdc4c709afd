"""An append-only journal of records: frames while it is written, Parquet when sealed. Knows nothing of trading."""
