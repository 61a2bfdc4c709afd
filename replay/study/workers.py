"""Work over processes of this machine, or over a Dask cluster: the same jobs, the same results, whatever the spread.

What a killed worker had in hand is done again: a job changes nothing but what it returns.
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
Told = Callable[[int, int], None]  # (jobs done, jobs there are)
CONNECT_SECONDS = 10
TRIES_MAX = 3  # of a job whose worker was killed


class WorkFailedError(Exception):
    """Work that no worker brings to an end, or a cluster that is not there: what and why, in a line."""


def spread(
    work: Callable[[J], R], jobs: Sequence[J], *, on: str = "", workers: int = 0, told: Told | None = None
) -> list[R]:
    """The results in the order of the jobs. `on` is "" for processes here, or dask://HOST:PORT. WorkFailedError."""
    if not on:
        return _here(work, jobs, workers or os.cpu_count() or 1, told)
    if not on.startswith("dask://"):
        raise WorkFailedError(f"{on!r} is nowhere that work goes to. What to do: dask://HOST:PORT, or leave it out.")
    return _on_dask(work, jobs, "tcp://" + on.removeprefix("dask://"), told)


def _here(work: Callable[[J], R], jobs: Sequence[J], workers: int, told: Told | None) -> list[R]:
    results: dict[int, R] = {}
    if workers == 1 or len(jobs) == 1:
        for at, job in enumerate(jobs):
            results[at] = work(job)
            _tell(told, results, jobs)
        return [results[at] for at in range(len(jobs))]
    for _ in range(TRIES_MAX):
        waiting = [at for at in range(len(jobs)) if at not in results]
        if not waiting:
            break
        with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=multiprocessing.get_context("spawn")) as pool:
            futures: dict[Future[R], int] = {pool.submit(work, jobs[at]): at for at in waiting}
            for future in as_completed(futures):
                try:
                    results[futures[future]] = future.result()
                except BrokenProcessPool:
                    continue  # a worker was killed, and with it the pool: what is left is done anew
                _tell(told, results, jobs)
    if len(results) < len(jobs):
        raise WorkFailedError(
            f"{len(jobs) - len(results)} of {len(jobs)} jobs ended with their worker killed, {TRIES_MAX} times. What to do: look at its memory."
        )
    return [results[at] for at in range(len(jobs))]


def _tell(told: Told | None, results: dict[int, R], jobs: Sequence[J]) -> None:
    if told is not None:
        told(len(results), len(jobs))


def _on_dask(work: Callable[[J], R], jobs: Sequence[J], address: str, told: Told | None) -> list[R]:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra, and half a second to import
        from distributed import as_completed as completed  # noqa: PLC0415
    except ImportError:
        raise WorkFailedError(
            "work on a cluster needs Dask. What to do: pip install 'verbatim-trading[cluster]'."
        ) from None
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        socket.create_connection(
            (host, int(port)), CONNECT_SECONDS
        ).close()  # Dask itself tries for as long as it waits
        client = Client(address, timeout=f"{CONNECT_SECONDS}s")  # type: ignore[no-untyped-call]  # Dask ships no types of it
    except (OSError, ValueError) as error:
        raise WorkFailedError(f"there is no Dask scheduler at {address}: {error}.") from None
    results: dict[int, R] = {}
    with client:
        futures = {client.submit(work, job, pure=False, retries=TRIES_MAX): at for at, job in enumerate(jobs)}
        for future in completed(futures):  # type: ignore[no-untyped-call]  # as above
            try:
                results[futures[future]] = future.result()
            except Exception as error:
                raise WorkFailedError(f"a job failed on the cluster: {error}") from error
            _tell(told, results, jobs)
    return [results[at] for at in range(len(jobs))]
