"""The compiled fold of market rows: books, quotes, trades and bars."""
