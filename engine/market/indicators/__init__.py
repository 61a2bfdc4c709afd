"""Indicators, one file each: a spec that declares it and a compiled update.

To add one: write engine/market/indicators/NAME.py as ema.py is written, and name it in registry.py. Nothing else knows
the kinds: arrays, digests, dumps, carried state, conditions, predicates and the strategies' view go by the registry.
"""
