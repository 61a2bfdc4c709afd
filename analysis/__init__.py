"""Readers that explain sessions: SQL views, the records behind an order, the report of a regression."""
