"""A Dask scheduler and two workers of this machine; one can be killed."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 120  # until the scheduler has an address


@contextmanager
def two_workers() -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the address of the scheduler, and a function that kills one worker."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory(prefix="verbatim-dask-") as folder:
        where = Path(folder) / "scheduler.json"
        module = [sys.executable, "-W", "ignore", "-m"]
        local = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)]
        scheduler = subprocess.Popen([*module, "distributed.cli.dask_scheduler", *local], **quiet)
        worker = ["--scheduler-file", str(where), "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        workers = [
            subprocess.Popen(
                [*module, "distributed.cli.dask_worker", *worker, "--local-directory", f"{folder}/{name}"], **quiet
            )
            for name in ("one", "two")
        ]
        until = time.monotonic() + SECONDS
        while not where.exists() or not where.read_text():
            assert time.monotonic() < until, "no scheduler"
            time.sleep(0.1)
        import json

        try:
            yield json.loads(where.read_text())["address"].replace("tcp://", "dask://"), workers[0].kill
        finally:
            for process in (*workers, scheduler):
                process.kill()
                process.wait()


if __name__ == "__main__":
    with two_workers() as (address, _):
        print(address)
