"""uvicorn with an end in good order: new requests are refused, accepted ones answered, then the process ends."""

import ipaddress
import signal
import socket
import sys
from types import FrameType
from typing import Final

import uvicorn

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.serve.connections import PatientProtocol
from rexnet_ai_real.serve.gate import Gate, Traffic

_BACKLOG: Final = 1024
_KEEP_ALIVE_SECONDS: Final = 5
_CLOSING_SECONDS: Final = 5
"""For connections to close once everything is answered."""


class Server(uvicorn.Server):
    """Stops at SIGTERM or Ctrl-C as soon as nothing is in flight; at the second one, at once."""

    def __init__(self, app: Gate, traffic: Traffic, *, max_connections: int) -> None:
        """`traffic` is what the app counts."""
        super().__init__(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=max_connections,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_CLOSING_SECONDS,
                backlog=_BACKLOG,
            )
        )
        self._traffic = traffic
        self.is_interrupted = False
        """Whether Ctrl-C ended it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Hear SIGTERM or Ctrl-C. uvicorn's own would refuse connections instead of saying when to try again."""
        if self._traffic.is_stopping:
            self.should_exit = self.force_exit = True
        self._traffic.is_stopping = True
        self.is_interrupted |= sig == signal.SIGINT

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to end; asked ten times a second."""
        is_done = self._traffic.is_stopping and not self._traffic.in_flight
        return await super().on_tick(counter) or is_done

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say where."""
        await super().startup(sockets)
        for opened in sockets or ():
            print(f"Serving on {address(opened)} (Ctrl-C stops).", file=sys.stderr, flush=True)


def listening(host: str, port: int) -> socket.socket:
    """An open socket; port 0 is any that is free.

    Raises:
        UserError: the address is not of this machine, or taken.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(where[0]), port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        raise UserError(
            f"{host}, port {port}, cannot be opened: {reason.lower()}. Give another --port (0: any free one) or --host"
        ) from error


def address(opened: socket.socket) -> str:
    """Where browsers find it."""
    host, port = opened.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(opened: socket.socket) -> bool:
    """Whether this machine alone reaches it."""
    return ipaddress.ip_address(opened.getsockname()[0]).is_loopback
