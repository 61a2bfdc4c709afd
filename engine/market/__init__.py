"""Market state: books, quotes, trades, bars and averages in arrays, folded by functions compiled from Python."""
