"""Alpaca's Trading API and streams over the simulated exchange: stocks and crypto of paper accounts."""

PROTOCOL = "alpaca"
