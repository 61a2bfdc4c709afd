"""Runs the cockpit's server on loopback until it is cancelled, with hypercorn's trio worker."""

import logging
import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from verbatim.cockpit import guards
from verbatim.cockpit.app import Cockpit
from verbatim.cockpit.guards import RequestGuard, new_token
from verbatim.cockpit.registry import Registry

HOST = "127.0.0.1"
CONNECTIONS_MAX = 256
IDLE_SECONDS = 75.0


class CannotListenError(Exception):
    """The address cannot be used. The text says what to do."""


def listening_socket(port: int) -> socket.socket:
    """Return a listening socket on loopback; port 0 takes a free one.

    Raises:
        CannotListenError: The port is in use.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise CannotListenError(
            f"port {port} of {HOST} cannot be used ({error.strerror}). What to do: choose another with --port"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # hypercorn shields its writes from cancellation, so the kernel ends a connection whose client does not read
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(guards.SEND_SECONDS * 1_000))
    listening.listen(CONNECTIONS_MAX)
    return listening


def _config(descriptor: int) -> Config:
    config = Config()
    config.bind = [f"fd://{descriptor}"]  # hypercorn closes it
    config.keep_alive_timeout = IDLE_SECONDS
    config.keep_alive_max_requests = 1_000_000
    config.shutdown_timeout = 1.0
    config.graceful_timeout = 0.5
    config.h11_max_incomplete_size = 32_768
    config.read_timeout = None
    config.server_names = []
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = _quiet_log()
    return config


def _quiet_log() -> logging.Logger:
    """Return a log without output: a client that leaves is no event for the user."""
    log = logging.getLogger("verbatim.cockpit")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return log


async def run_cockpit(
    registry: Registry,
    listening: socket.socket,
    *,
    can_command: bool,
    token: str = "",
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until a signal or a cancellation.

    Args:
        registry: The sessions.
        listening: From `listening_socket`.
        can_command: False refuses commands.
        token: The token of the address; "" makes a new one.
        on_ready: Gets the address, with its token, when the server listens.
    """
    token = token or new_token()
    port = listening.getsockname()[1]
    cockpit = Cockpit(registry, command_token=new_token(), can_command=can_command)
    guard: Any = RequestGuard(cockpit.app(), port=port, token=token)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, guard, _config(listening.detach()), shutdown_trigger=trio.sleep_forever))
            on_ready(f"http://{HOST}:{port}/?token={token}")
            try:
                with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                    async for _ in signals:
                        break
            finally:
                nursery.cancel_scope.cancel()
                _end_connections(port)
    finally:
        await cockpit.aclose()


def _end_connections(port: int) -> None:
    """End all connections to a port of this process, so that no client that does not read delays the end."""
    folder = Path("/proc/self/fd")
    for entry in list(folder.iterdir()) if folder.is_dir() else ():
        with suppress(OSError):  # it was closed meanwhile
            if not stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as connection:
                if connection.family == socket.AF_INET and connection.getsockname()[1] == port:
                    connection.shutdown(socket.SHUT_RDWR)
