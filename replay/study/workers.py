"""Runs jobs in processes of this machine, or on a Dask cluster. The results do not depend on the distribution.

The jobs of a killed worker are run again, since a job changes nothing but its return value.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")
OnJobDone = Callable[[int, int], None]  # (jobs done, all jobs)
CONNECT_SECONDS = 10
ATTEMPTS_MAX = 3  # attempts per job, if workers are killed


class WorkFailedError(Exception):
    """The workers were killed repeatedly, or there is no cluster. The text is one line."""


def run_jobs(
    work: Callable[[J], R],
    jobs: Sequence[J],
    *,
    on: str = "",
    workers: int = 0,
    on_job_done: OnJobDone | None = None,
    on_result: Callable[[int, R], None] | None = None,
) -> list[R]:
    """Run jobs and return the results in the order of the jobs.

    Args:
        work: The function to call with each job, in any process.
        jobs: The jobs.
        on: "" for processes of this machine, or dask://HOST:PORT.
        workers: The number of processes; one per core by default.
        on_job_done: Called after each job.
        on_result: Called with the place of a job and its result, in the order in which jobs end.

    Raises:
        WorkFailedError: The workers were killed repeatedly, or there is no cluster.
    """
    results = _Results(len(jobs), on_job_done, on_result)
    if not on:
        _run_locally(work, jobs, workers or os.cpu_count() or 1, results)
    elif on.startswith("dask://"):
        _run_on_dask(work, jobs, "tcp://" + on.removeprefix("dask://"), results)
    else:
        raise WorkFailedError(
            f"{on!r} is not the address of a cluster. What to do: write dask://HOST:PORT, or leave it out."
        )
    return results.in_order()


class _Results(Generic[R]):
    """The results so far, by the place of their job."""

    def __init__(self, count: int, on_job_done: OnJobDone | None, on_result: Callable[[int, R], None] | None) -> None:
        self._count, self._on_job_done, self._on_result = count, on_job_done, on_result
        self._by_place: dict[int, R] = {}

    def add(self, place: int, result: R) -> None:
        """Add a result and report it."""
        self._by_place[place] = result
        if self._on_result is not None:
            self._on_result(place, result)
        if self._on_job_done is not None:
            self._on_job_done(len(self._by_place), self._count)

    @property
    def missing(self) -> list[int]:
        """The places of the jobs without a result."""
        return [place for place in range(self._count) if place not in self._by_place]

    def in_order(self) -> list[R]:
        """Return all results in the order of the jobs."""
        return [self._by_place[place] for place in range(self._count)]


def _run_locally(work: Callable[[J], R], jobs: Sequence[J], workers: int, results: _Results[R]) -> None:
    if workers == 1 or len(jobs) == 1:
        for place, job in enumerate(jobs):
            results.add(place, work(job))
        return
    for _ in range(ATTEMPTS_MAX):
        waiting = results.missing
        if not waiting:
            return
        with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=multiprocessing.get_context("spawn")) as pool:
            futures: dict[Future[R], int] = {pool.submit(work, jobs[place]): place for place in waiting}
            for future in as_completed(futures):
                try:
                    result = future.result()
                except BrokenProcessPool:
                    continue  # a killed worker ends the pool; the remaining jobs run again
                results.add(futures[future], result)
    if left := len(results.missing):
        raise WorkFailedError(
            f"{left} of {len(jobs)} jobs ended with their worker killed, {ATTEMPTS_MAX} times. "
            "What to do: check the machine's memory."
        )


def _run_on_dask(work: Callable[[J], R], jobs: Sequence[J], address: str, results: _Results[R]) -> None:
    try:
        import distributed
    except ImportError:
        raise WorkFailedError("a cluster needs Dask. What to do: pip install 'verbatim-trading[cluster]'.") from None
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()  # Dask itself retries until its timeout
        client = distributed.Client(address, timeout=f"{CONNECT_SECONDS}s")  # type: ignore[no-untyped-call]  # Dask ships no types of it
    except (OSError, ValueError) as error:
        raise WorkFailedError(f"no Dask scheduler answers at {address}: {error}.") from None
    with client:
        futures = {client.submit(work, job, pure=False, retries=ATTEMPTS_MAX): place for place, job in enumerate(jobs)}
        for future in distributed.as_completed(futures):  # type: ignore[no-untyped-call]  # as above
            try:
                result = future.result()
            except Exception as error:
                raise WorkFailedError(f"a job failed on the cluster: {error}") from error
            results.add(futures[future], result)
