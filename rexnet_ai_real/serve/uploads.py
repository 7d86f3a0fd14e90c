"""From the body of a request to the bytes of images: read in pieces into memory, and no further than the limits.

Starlette's own forms put files above 1 MB on disk; here python-multipart's parser feeds plain memory.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from rexnet_ai_real.serve.limits import Limits
from rexnet_ai_real.serve.problems import Busy, Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM: Final = b"multipart/form-data"
# Its warnings quote bytes of the body; what they say is answered as 400.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Upload:
    """One file as it was sent."""

    name: str | None
    """As the form names it; None of a raw body."""
    data: bytes


class HeldBytes:
    """Bytes of bodies in memory, over all requests. Used by the event loop alone."""

    def __init__(self, most: int) -> None:
        """`most` at once."""
        self.most = most
        self.taken = 0

    @contextmanager
    def holding(self) -> Iterator["Hold"]:
        """What one request takes; it is free again at the end of the block."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.taken -= hold.taken


@dataclass(slots=True)
class Hold:
    """The share of one request."""

    of: HeldBytes
    taken: int = 0

    def take(self, count: int) -> None:
        """Count further bytes.

        Raises:
            Busy: other requests hold too much.
        """
        if self.of.taken + count > self.of.most:
            raise Busy("The service holds as many bytes of images as it may: try again.")
        self.of.taken += count
        self.taken += count


def is_form(request: Request) -> bool:
    """Whether the body is a form of files rather than one raw image."""
    return parse_options_header(request.headers.get("content-type"))[0] == FORM


async def read_uploads(request: Request, limits: Limits, hold: Hold) -> list[Upload]:
    """The files of a request: those of its form, or the whole body as the only one.

    Raises:
        Problem: 400 a damaged form, 408 too slow, 413 too many bytes or files, 422 a form without a file.
        Busy: other requests hold too much.
    """
    most = limits.body_bytes if is_form(request) else limits.max_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most, "body")
    into = _Form(request, limits) if is_form(request) else _Raw(limits)
    try:
        async with asyncio.timeout(limits.timeout):
            async for piece in request.stream():
                hold.take(len(piece))
                into.write(piece)
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {limits.timeout:g} seconds."
        ) from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "The connection closed before the body was complete.") from None
    return into.uploads()


class _Raw:
    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_bytes
        self._data = bytearray()

    def write(self, piece: bytes) -> None:
        if len(self._data) + len(piece) > self._most:
            raise _too_large(self._most, "image")
        self._data += piece

    def uploads(self) -> list[Upload]:
        return [Upload(None, bytes(self._data))]


class _Form:
    """Every part of the form is a file, whatever its field is called."""

    def __init__(self, request: Request, limits: Limits) -> None:
        boundary = parse_options_header(request.headers.get("content-type"))[1].get(b"boundary")
        if not boundary:
            raise _damaged("its Content-Type names no boundary")
        self._limits = limits
        self._uploads: list[Upload] = []
        self._is_complete = False
        self._field, self._value, self._disposition = bytearray(), bytearray(), ""
        self._data = bytearray()
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._complete,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError:
            raise _damaged("its boundary is too long") from None

    def write(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError:
            raise _damaged("it is no multipart/form-data") from None

    def uploads(self) -> list[Upload]:
        if not self._is_complete:
            raise _damaged("it ends before its closing boundary")
        if not self._uploads:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The form holds no file: send each image as a part of it.")
        return self._uploads

    def _begin(self) -> None:
        if len(self._uploads) == self._limits.max_files:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"More than {self._limits.max_files} files: send the others in further requests.",
            )
        self._disposition, self._data = "", bytearray()

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._field.clear()
        self._value.clear()

    def _add(self, data: bytes, start: int, end: int) -> None:
        if len(self._data) + end - start > self._limits.max_bytes:
            raise _too_large(self._limits.max_bytes, "image")
        self._data += data[start:end]

    def _end(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"filename")
        self._uploads.append(Upload(None if name is None else name.decode("utf-8", "replace"), bytes(self._data)))

    def _complete(self) -> None:
        self._is_complete = True


def _too_large(most: int, what: str) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The {what} has more than {most:,} bytes, the limit here.")


def _damaged(why: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"The form cannot be read: {why}.")
