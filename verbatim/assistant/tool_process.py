"""Starts the process that answers the tools (tool_worker.py), and starts another after one that was ended."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any

from verbatim.assistant.tool_limits import SECONDS_MAX


class ToolFailedError(Exception):
    """A tool gave no answer. The text is for the assistant: what happened and what to do."""


class ToolProcess:
    """The process, which is started when it is first needed. Calls wait for each other."""

    def __init__(self, root: Path, seconds: float = SECONDS_MAX) -> None:
        """Prepare a process.

        Args:
            root: The folder of the sessions.
            seconds: The time that one call may take.
        """
        self._root = root
        self._seconds = seconds
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Return the text of one answer.

        Raises:
            ToolFailedError: The tool refuses, or the process was ended.
        """
        with self._lock:
            line = self._exchange(json.dumps({"tool": tool, "arguments": arguments}))
            if not line:
                code = self._end()
                reason = (
                    f"took longer than {self._seconds:g} s" if code == -signal.SIGALRM else f"ended with code {code}"
                )
                raise ToolFailedError(f"The call {reason} and was ended. What to do: ask for less, as fewer records.")
        found: dict[str, str] = json.loads(line)
        if "error" in found:
            raise ToolFailedError(found["error"])
        return found["text"]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def _exchange(self, line: str) -> str:
        process = self._process or self._start()
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        except OSError:
            return ""
        return process.stdout.readline()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "verbatim.assistant.tool_worker", str(self._root), str(self._seconds)]
        self._process = subprocess.Popen[str](
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
        )
        return self._process

    def _end(self) -> int:
        process, self._process = self._process, None
        assert process is not None, "it was started"
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        return process.wait()
