"""The service as a process of its own: its start, its end, what it leaves on disk, and connections that misbehave."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from urllib.request import urlopen

import pytest

from rexnet_ai_real.serve import __main__ as command
from tests.installation import install
from tests.serving import picture

CHECKOUT = Path(__file__).resolve().parents[1]
GOOD = picture(0)
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
# The page is not what is tested here; `page` has its own tests.
_SERVE = """
import sys
from rexnet_ai_real.page import site
site.page_files = lambda source: {"index.html": site.PageFile("text/html", b"page")}
from rexnet_ai_real.serve import connections
connections.HEAD_SECONDS = 1.0
from rexnet_ai_real.serve.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Process:
    """A running service."""

    process: "subprocess.Popen[str]"
    port: int
    lines: list[str]
    """On standard error so far."""

    def ask(self) -> int:
        """The status of one request, on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            head = f"POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Length: {len(GOOD)}\r\n\r\n"
            connection.sendall(head.encode() + GOOD)
            return int(connection.recv(99).split(b" ")[1])


@contextmanager
def started(*arguments: str, cwd: Path, site: Path | None = None) -> Iterator[Process]:
    """A service on a free port, or on the one among the arguments; killed at the end.

    With `site`, nothing but what lies in that folder can be imported.
    """
    given = arguments if "--port" in arguments else (*arguments, "--port", "0")
    environment = {**os.environ, "PYTHONPATH": str(site or CHECKOUT), "TMPDIR": str(cwd)}
    python = [sys.executable, *(["-S"] if site else [])]
    process = subprocess.Popen(
        [*python, "-c", _SERVE, *given], cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.match(r"Serving on http://.*:(\d+) ", line):
                break
        else:
            pytest.fail("".join(lines))
        reader = threading.Thread(target=lines.extend, args=(process.stderr,))
        reader.start()
        yield Process(process, int(found[1]), lines)
    finally:
        process.kill()
        process.wait()
        if "reader" in locals():
            reader.join()
        process.stderr.close()


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_stops_when_all_accepted_is_answered(sign: signal.Signals, code: int, tmp_path: Path) -> None:
    with started(cwd=tmp_path) as service, ThreadPoolExecutor(32) as clients:
        accepted = [clients.submit(service.ask) for _ in range(32)]
        while (waiting := _waiting(service)) < 8:
            time.sleep(0.01)
        service.process.send_signal(sign)
        assert service.process.wait(60) == code
        # Whoever came before the signal was answered, whoever came after was refused, nobody was cut off.
        statuses = [answer.result(60) for answer in accepted]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= waiting
    assert list(tmp_path.iterdir()) == []
    assert ("Every request that was accepted has its answer" in "".join(service.lines)) == (code == 130)


def test_killed_and_started_again_on_the_same_port(tmp_path: Path) -> None:
    with started(cwd=tmp_path) as first, ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(first.ask) for _ in range(8)]
        while not _waiting(first):
            time.sleep(0.01)
        first.process.kill()
        ended = [answer.exception(60) for answer in answers]
        assert any(isinstance(error, OSError | IndexError) for error in ended)  # reset, or ended without an answer
        with started("--port", str(first.port), cwd=tmp_path) as second:
            assert second.ask() == 200
    assert list(tmp_path.iterdir()) == []


def test_connections_that_send_or_take_nothing(tmp_path: Path) -> None:
    with started("--max-connections", "3", cwd=tmp_path) as service:
        address = ("127.0.0.1", service.port)
        silent, slow, damaged = (socket.create_connection(address, timeout=20) for _ in range(3))
        slow.sendall(b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nX-")
        damaged.sendall(b"\x16\x03\x01\x00\xa5\x01\r\n\r\n")
        assert damaged.recv(99).startswith(b"HTTP/1.1 400")
        damaged.close()
        with socket.create_connection(address, timeout=20) as third, socket.create_connection(address) as fourth:
            for connection in (third, fourth):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert third.recv(999).startswith(b"HTTP/1.1 200")
            refused = fourth.recv(999)
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in refused.lower()
            assert b"x-content-type-options: nosniff" in refused.lower()
        assert [silent.recv(9), slow.recv(9)] == [b"", b""]  # ended by the service
        for connection in (silent, slow):
            connection.close()
        with urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=60) as response:
            assert b'rexnet_requests_total{method="GET",route="/healthz",status="503"} 1.0' in response.read()
        assert service.ask() == 200


def test_a_taken_port_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rexnet_ai_real.page import site

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "page_files", lambda source: {})
        assert command.main(["--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be opened: address already in use. Give another --port" in capsys.readouterr().err


def test_an_open_address_without_keys_is_remarked(tmp_path: Path) -> None:
    with started("--host", "0.0.0.0", cwd=tmp_path) as service:
        assert any("give --api-keys FILE" in line for line in service.lines)
        assert service.ask() == 200


def test_the_packages_of_the_container_are_enough(tmp_path: Path) -> None:
    listed = re.search(r"--constraint versions.txt \\\n(.*) \\\n", DOCKERFILE)
    assert listed
    (tmp_path / "site").mkdir()
    site = install(tmp_path / "site", [*listed[1].split()])
    info = Path(str(distribution("rexnet-ai-real").locate_file(""))).glob("rexnet_ai_real-*.dist-info")
    (site / "rexnet_ai_real-0.dist-info").symlink_to(next(info))
    (tmp_path / "empty").mkdir()
    with started(cwd=tmp_path / "empty", site=site) as service:
        assert service.ask() == 200
        with urlopen(f"http://127.0.0.1:{service.port}/openapi.json", timeout=60) as response:
            assert b"/v1/detect" in response.read()


def test_the_container_is_pinned_watched_and_without_rights() -> None:
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line and not line.startswith("#")}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", said["FROM"])
    assert said["USER"].partition(":")[0] not in ("", "root", "0")
    assert "/healthz" in said["HEALTHCHECK"]
    assert json.loads(said["ENTRYPOINT"])[:2] == ["rexnet-ai-real", "serve"]
    command._parser().parse_args(json.loads(said["ENTRYPOINT"])[2:])
    taken = {line.removeprefix("!") for line in (CHECKOUT / ".dockerignore").read_text().split() if line[0] == "!"}
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    assert copied == taken
    assert all((CHECKOUT / name).exists() for name in copied)


@pytest.mark.parametrize(
    "wrong", [["--port", "65536"], ["--timeout", "soon"], ["--timeout", "0"], ["--queue", "0"], ["--queue", "3"]]
)
def test_wrong_arguments(wrong: list[str]) -> None:
    try:
        code = command.main(wrong)
    except SystemExit as end:  # argparse's own
        code = int(end.code or 0)
    assert code == 2


def _waiting(service: Process) -> int:
    with urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=60) as response:
        text = response.read().decode()
    return int(float(next(line for line in text.splitlines() if line.startswith("rexnet_waiting_images")).split()[1]))
