"""The cockpit: one page for recorded and running sessions, and the server on loopback that feeds it.

The server is a separate process: it reads journals, and reaches a trader only through its control socket.
"""
