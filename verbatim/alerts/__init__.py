"""Alerts: a separate process that reads journals and sends messages to people. docs/alerts.md explains it."""
