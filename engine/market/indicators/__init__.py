"""Indicators, one file each: a spec that declares it and a compiled update.

To add one: write engine/market/indicators/NAME.py as sma.py is written. The registry finds every file, and nothing else
knows the kinds: arrays, digests, dumps, carried state, conditions, predicates and the strategies' view go by it.
"""
