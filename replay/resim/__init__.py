"""Resimulation: runs a recorded session again with a change, against the simulated venue."""
