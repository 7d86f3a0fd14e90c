"""The page's files over HTTP, as `page` makes them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from rexnet_ai_real.page.headers import HEADERS
from rexnet_ai_real.page.site import PageFile

INDEX: Final = "index.html"
_PIECE: Final = 1 << 16
"""Bytes sent at a time: of a slow reader, no more than this and what the system buffers waits in memory."""


def paths(name: str) -> list[str]:
    """Where a file of the page is found."""
    return ["/", f"/{name}"] if name == INDEX else [f"/{name}"]


def answering(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    """The route of one file. Browsers keep it, and ask each time whether it is still the same."""
    headers = {**HEADERS, "ETag": file.etag, "Cache-Control": "no-cache"}
    length = {"Content-Length": str(len(file.data))}

    async def answer(request: Request) -> Response:
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return StreamingResponse(_pieces(file.data), headers=headers | length, media_type=file.media_type)

    return answer


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]
