"""Connections to a venue in two profiles: `standard` (trio-websocket, httpcore) and `fast` (sans-IO protocols on trio
streams).

Both pass one contract suite, tests/test_transports.py. Neither follows redirects, keeps cookies, or reads a body
without a limit. Nothing here knows a session, a record or a venue's messages.
"""
