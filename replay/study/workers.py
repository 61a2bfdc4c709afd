"""Runs jobs in processes of this machine, or on a Dask cluster. The results do not depend on the distribution.

The jobs of a killed worker are run again, since a job changes nothing but its return value.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")
OnJobDone = Callable[[int, int], None]  # (jobs done, all jobs)
CONNECT_SECONDS = 10
ATTEMPTS_MAX = 3  # attempts per job, if workers are killed


class WorkFailedError(Exception):
    """The workers were killed repeatedly, or there is no cluster. The text is one line."""


def run_jobs(
    work: Callable[[J], R], jobs: Sequence[J], *, on: str = "", workers: int = 0, on_job_done: OnJobDone | None = None
) -> list[R]:
    """Run jobs and return the results in the order of the jobs.

    Args:
        work: The function to call with each job, in any process.
        jobs: The jobs.
        on: "" for processes of this machine, or dask://HOST:PORT.
        workers: The number of processes; one per core by default.
        on_job_done: Called after each job.

    Raises:
        WorkFailedError: The workers were killed repeatedly, or there is no cluster.
    """
    if not on:
        return _run_locally(work, jobs, workers or os.cpu_count() or 1, on_job_done)
    if not on.startswith("dask://"):
        raise WorkFailedError(
            f"{on!r} is not the address of a cluster. What to do: write dask://HOST:PORT, or leave it out."
        )
    return _run_on_dask(work, jobs, "tcp://" + on.removeprefix("dask://"), on_job_done)


def _run_locally(work: Callable[[J], R], jobs: Sequence[J], workers: int, on_job_done: OnJobDone | None) -> list[R]:
    results: dict[int, R] = {}
    if workers == 1 or len(jobs) == 1:
        for index, job in enumerate(jobs):
            results[index] = work(job)
            _report_progress(on_job_done, results, jobs)
        return [results[index] for index in range(len(jobs))]
    for _ in range(ATTEMPTS_MAX):
        waiting = [index for index in range(len(jobs)) if index not in results]
        if not waiting:
            break
        with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=multiprocessing.get_context("spawn")) as pool:
            futures: dict[Future[R], int] = {pool.submit(work, jobs[index]): index for index in waiting}
            for future in as_completed(futures):
                try:
                    results[futures[future]] = future.result()
                except BrokenProcessPool:
                    continue  # a killed worker ends the pool; the remaining jobs run again
                _report_progress(on_job_done, results, jobs)
    if len(results) < len(jobs):
        raise WorkFailedError(
            f"{len(jobs) - len(results)} of {len(jobs)} jobs ended with their worker killed, {ATTEMPTS_MAX} times. "
            "What to do: check the machine's memory."
        )
    return [results[index] for index in range(len(jobs))]


def _report_progress(on_job_done: OnJobDone | None, results: dict[int, R], jobs: Sequence[J]) -> None:
    if on_job_done is not None:
        on_job_done(len(results), len(jobs))


def _run_on_dask(work: Callable[[J], R], jobs: Sequence[J], address: str, on_job_done: OnJobDone | None) -> list[R]:
    try:
        import distributed  # noqa: PLC0415 - an extra, and half a second to import
    except ImportError:
        raise WorkFailedError("a cluster needs Dask. What to do: pip install 'verbatim-trading[cluster]'.") from None
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()  # Dask itself retries until its timeout
        client = distributed.Client(address, timeout=f"{CONNECT_SECONDS}s")  # type: ignore[no-untyped-call]  # Dask ships no types of it
    except (OSError, ValueError) as error:
        raise WorkFailedError(f"no Dask scheduler answers at {address}: {error}.") from None
    results: dict[int, R] = {}
    with client:
        futures = {client.submit(work, job, pure=False, retries=ATTEMPTS_MAX): index for index, job in enumerate(jobs)}
        for future in distributed.as_completed(futures):  # type: ignore[no-untyped-call]  # as above
            try:
                results[futures[future]] = future.result()
            except Exception as error:
                raise WorkFailedError(f"a job failed on the cluster: {error}") from error
            _report_progress(on_job_done, results, jobs)
    return [results[index] for index in range(len(jobs))]
