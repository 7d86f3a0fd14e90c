"""Requests over loopback from many clients at once, each on a connection of its own, with little work of its own."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

BOUNDARY: Final = b"----benchmark"
LOST: Final = 0
"""In place of a status: the connection ended without an answer."""


@dataclass
class Load:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """Of each request that was answered."""
    wall: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.seconds) / self.wall

    def percentile(self, share: float) -> float:
        """Seconds within which this share was answered."""
        return sorted(self.seconds)[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


def form(image: bytes) -> bytes:
    """A request with one image in a form."""
    body = b'--%b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n%b\r\n--%b--\r\n' % (
        BOUNDARY,
        image,
        BOUNDARY,
    )
    return request(body, b"multipart/form-data; boundary=" + BOUNDARY)


def request(body: bytes, media_type: bytes) -> bytes:
    """A POST to /v1/detect."""
    head = b"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (media_type, len(body)) + body


def load(port: int, requests: Sequence[bytes], *, clients: int) -> Load:
    """Send all, each client one after the other on one connection, which is opened again where it was closed."""
    return asyncio.run(_load(port, requests, clients))


async def _load(port: int, requests: Sequence[bytes], clients: int) -> Load:
    found, waiting = Load(), iter(requests)

    async def client() -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for sent in waiting:
            started = time.perf_counter()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", port)
                connection[1].write(sent)
                status, stays = await _answer(connection[0])
            except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
                found.statuses[LOST] += 1
                stays = False
            else:
                found.statuses[status] += 1
                found.seconds.append(time.perf_counter() - started)
            if not stays and connection:
                connection[1].close()
                connection = None
        if connection:
            connection[1].close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    found.wall = time.perf_counter() - started
    return found


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, has_length, after = head.partition(b"content-length:")
    await (reader.readexactly(int(after.split(b"\r\n")[0])) if has_length else reader.read())
    return int(head.split(b" ")[1]), bool(has_length) and b"connection: close" not in head
