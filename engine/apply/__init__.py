"""Apply inputs to the state: decode a batch, fold it into market and account. No decision is made here."""
