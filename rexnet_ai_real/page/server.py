"""A server of the page for one's own machine: it knows the page's files alone, and reads nothing that it is sent."""

import socket
import sys
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import unquote, urlsplit

from rexnet_ai_real.page.headers import HEADERS
from rexnet_ai_real.page.site import PageFile

_NO_FILE: Final = PageFile("text/plain; charset=utf-8", b"There is no such file on this page.\n")


class PageServer(ThreadingHTTPServer):
    """Bound to an address when it is made; `serve_forever` answers, `shutdown` from another thread ends that."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, PageFile], host: str, port: int) -> None:
        """Take the port; 0 for any free one.

        Raises:
            OSError: it is taken, or may not be used, or the host is not of this machine.
        """
        found, _, _, _, where = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        self.address_family = found
        super().__init__((str(where[0]), port), partial(_Handler, files))

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing for a tab that was closed while the page loaded; anything else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # passed on as it came

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "rexnet-ai-real"
    sys_version = ""
    timeout = 30
    """Seconds that a silent connection is kept."""

    def __init__(self, files: Mapping[str, PageFile], *arguments: object) -> None:
        self.files = files
        super().__init__(*arguments)  # type: ignore[arg-type]  # as socketserver gives them

    def do_GET(self) -> None:
        """A file; 304 if the browser keeps it; or 404."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The same without the file itself."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        file = self._asked_for()
        if file is None:
            status, file = HTTPStatus.NOT_FOUND, _NO_FILE
        elif file.etag in self.headers.get("If-None-Match", ""):
            status, with_body = HTTPStatus.NOT_MODIFIED, False
        else:
            status = HTTPStatus.OK
        self.send_response(status)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", file.media_type)
            self.send_header("Content-Length", str(len(file.data)))
        if status != HTTPStatus.NOT_FOUND:
            self.send_header("ETag", file.etag)
        self.send_header("Cache-Control", "no-cache")
        for header, value in HEADERS.items():
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(file.data)

    def _asked_for(self) -> PageFile | None:
        try:
            path = urlsplit(self.path).path
        except ValueError:  # such as http://[
            return None
        return self.files.get(unquote(path).removeprefix("/") or "index.html")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who opens the page is nobody's business."""
