"""`verbatim.demo.venue_process`, whose process begins warm (tests/warm_processes.py)."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from warm_processes import CALM_EVENT_MS, WarmProcess

from verbatim import demo


@asynccontextmanager
async def venue_process(options: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Run the simulated venue, with a calm market, as a child process until the block ends; yield its JSON line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", WarmProcess)  # trio starts it by this name
        async with demo.venue_process({"event_ms": CALM_EVENT_MS} | options) as ready:
            patch.undo()
            yield ready
