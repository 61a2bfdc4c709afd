"""Readers that run a session again: replay, rebuild, resimulate. Never imports engine.live; opens no socket."""
