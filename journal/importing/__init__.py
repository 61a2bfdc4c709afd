"""Import of other tools' captures as sessions: one file per format, and one module that writes.

Knows nothing of engine.
"""
