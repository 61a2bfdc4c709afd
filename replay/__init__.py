"""Reads sessions again: replay, rebuild, ask. Never imports engine.live; opens no socket and sends nothing."""
