"""A server of the page for one's own machine: it knows the page's files alone, and reads nothing that it is sent."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from rexnet_ai_real.page.headers import HEADERS
from rexnet_ai_real.page.site import PageFile


class PageServer(ThreadingHTTPServer):
    """Bound to an address when it is made; `serve_forever` answers, `shutdown` from another thread ends that."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, PageFile], host: str, port: int) -> None:
        """Take the port; 0 for any free one.

        Raises:
            OSError: it is taken, or may not be used.
        """
        super().__init__((host, port), partial(_Handler, files))

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
        """A file, or 404."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The same without the file itself."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        file = self.files.get(name)
        status = HTTPStatus.OK if file else HTTPStatus.NOT_FOUND
        file = file or PageFile("text/plain; charset=utf-8", b"There is no such file on this page.\n")
        self.send_response(status)
        self.send_header("Content-Type", file.media_type)
        self.send_header("Content-Length", str(len(file.data)))
        self.send_header("Cache-Control", "no-cache")
        for header, value in HEADERS.items():
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(file.data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who opens the page is nobody's business."""
