"""Orders inside the fold: a compiled strategy, its orders and the simulated venue in one loop of machine code.

A cache of the ordinary way, for research: replay/fold_orders runs it and compares it with a resimulation.
"""
