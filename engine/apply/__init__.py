"""Fold inputs into state: decode a record, apply it to the market and the account. Decide nothing."""
