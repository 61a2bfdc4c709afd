"""The compiled fold: rows in, market state changed in place, flags out.

`row_loop.fold_rows` is the entry; one file a subject: quotes, trades, bars, book_rows, books, dense_book, id_gaps,
trigger_flags.
"""
