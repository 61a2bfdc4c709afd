"""Runs SQL of the page in worker processes: one at a time for each session, with bounds on time, rows and bytes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio

QUERY_BYTES_MAX = 20_000
ROWS_MAX = 2_000
SECONDS_MAX = 20.0
ANSWER_BYTES_MAX = 16 * 2**20
WORKERS_MAX = 3  # processes; the one that was not used for longest ends


class QueryWorkers:
    """The worker processes, by session folder."""

    def __init__(self, seconds: float = SECONDS_MAX) -> None:
        self._seconds = seconds
        self._workers: dict[tuple[Path, int], trio.Process] = {}
        self._lock = trio.Lock()

    async def run(self, folder: Path, query: str, last_seq: int) -> dict[str, Any]:
        """Return the rows of a query.

        Args:
            folder: The session.
            query: One reading statement.
            last_seq: The session's last record: a worker sees a session as of its start, so a longer one gets another.

        Returns:
            `columns`, `types`, `rows` and `more`; or `error`.
        """
        if len(query.encode()) > QUERY_BYTES_MAX:
            return {"error": f"the query is longer than {QUERY_BYTES_MAX:,} bytes. What to do: shorten it"}
        async with self._lock:
            process = await self._worker(folder, last_seq)
            found: dict[str, Any] | None = None
            with trio.move_on_after(self._seconds):
                found = await self._answer(process, query)
            if found is None or "fatal" in found:
                await self._end(process)
                reason = f"took longer than {self._seconds:g} s" if found is None else found["fatal"]
                return {
                    "error": f"the query {reason} and was ended. What to do: read fewer records, or use verbatim sql"
                }
            return found

    async def _worker(self, folder: Path, last_seq: int) -> trio.Process:
        process = self._workers.pop((folder, last_seq), None)
        if process is None or process.returncode is not None:
            command = [sys.executable, "-P", "-m", "verbatim.cockpit.query_worker", str(folder)]
            process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._workers[folder, last_seq] = process
        for key in list(self._workers)[:-WORKERS_MAX]:
            await self._end(self._workers[key])
        return process

    async def _answer(self, process: trio.Process, query: str) -> dict[str, Any]:
        assert process.stdin is not None, "asked for"
        assert process.stdout is not None, "asked for"
        try:
            await process.stdin.send_all(json.dumps({"query": query, "limit": ROWS_MAX}).encode() + b"\n")
            received = bytearray()
            while not received.endswith(b"\n"):
                part = await process.stdout.receive_some(65_536)
                received += part
                if not part:
                    return {"fatal": "needed more memory than it may use"}
                if len(received) > ANSWER_BYTES_MAX:
                    return {"fatal": f"gave more than {ANSWER_BYTES_MAX // 2**20} MiB"}
        except trio.BrokenResourceError:
            return {"fatal": "ended its process"}
        found: dict[str, Any] = json.loads(received)
        return found

    async def _end(self, process: trio.Process) -> None:
        self._workers = {key: known for key, known in self._workers.items() if known is not process}
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()

    async def aclose(self) -> None:
        """End all workers."""
        for process in list(self._workers.values()):
            await self._end(process)
