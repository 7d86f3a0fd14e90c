"""Connections that neither hurry nor end: each has a deadline, and there are only so many."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from rexnet_ai_real.serve.gate import Gate
from rexnet_ai_real.serve.limits import HEAD_SECONDS


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which alone waits for ever for the head of a first request and for answers to be read.

    A body has its deadline in `uploads`; what is left of one that was refused counts as waiting for the next head.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As `asyncio.Protocol`. One connection too many gets 503 instead of uvicorn's own words."""
        super().connection_made(transport)
        self._head: asyncio.TimerHandle | None = None
        self._reader: asyncio.TimerHandle | None = None
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            assert isinstance(self.app, Gate)
            self.app = self.app.full
        self.limit_concurrency = None
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol`."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """As `H11Protocol`."""
        super().on_response_complete()
        self._watch_head()

    def pause_writing(self) -> None:
        """As `asyncio.Protocol`: the client does not take what is sent."""
        super().pause_writing()
        self._reader = self.loop.call_later(3 * HEAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """As `asyncio.Protocol`."""
        super().resume_writing()
        _cancel(self._reader)
        self._reader = None

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.Protocol`."""
        _cancel(self._head)
        _cancel(self._reader)
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head)
            self._head = None
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
