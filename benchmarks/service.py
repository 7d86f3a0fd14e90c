"""The service against a plain one, both on loopback: `python -m benchmarks.service`.

Clients ask one image at a time and wait for its answer. Then come 10,000 requests, hostile ones among them, and a kill.
"""

import argparse
import io
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.http_load import LOST, Load, form, load, request
from benchmarks.side_by_side import median_of, write_section
from rexnet_ai_real.markdown import markdown_table

# Without the page, which is not what is measured.
OURS: Final = (
    "-c",
    "import sys; from rexnet_ai_real.page import site; site.page_files = lambda source: {}; "
    "from rexnet_ai_real.serve.__main__ import main; sys.exit(main(sys.argv[1:]))",
)
PLAIN: Final = ("-m", "benchmarks.plain_service")
SERVERS: Final = {
    "rexnet-ai-real serve": OURS,
    "plain, the same engine": PLAIN,
    "plain, the same engine, in the event loop": (*PLAIN, "--one-thread"),
    "plain, timm in PyTorch": (*PLAIN, "--torch"),
}
US, BASE = "rexnet-ai-real serve", "plain, the same engine"
CLIENTS: Final = (1, 8, 64)
_CLOCK: Final = 100
"""Ticks of /proc a second."""


@dataclass(frozen=True)
class Server:
    """A running service."""

    process: "subprocess.Popen[str]"
    port: int

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description="Load the service.")
    parser.add_argument("--requests", type=int, default=192, help="of each level and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=int, default=10_000, help="requests of the long run, hostile ones among them")
    options = parser.parse_args()
    images = [_picture(seed) for seed in range(32)]
    parts = [_levels([form(image) for image in images], options.requests, options.rounds)]
    parts.append(_long([form(_picture(seed, 96)) for seed in range(32)], images[0], options.long))
    parts.append(_killed([form(image) for image in images]))
    write_section("The service", "\n\n".join(parts), threads=0)


def _levels(requests: Sequence[bytes], count: int, rounds: int) -> str:
    """All servers in turn, at each number of clients."""
    found: dict[tuple[int, str], list[tuple[Load, float]]] = {}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(_running(*arguments)) for name, arguments in SERVERS.items()}
        for server in servers.values():
            load(server.port, requests[:16], clients=4)
        for clients in CLIENTS:
            sent = _repeated(requests, count if clients > 1 else count // 4)
            for _ in range(rounds):
                for name, server in servers.items():
                    before = server.cpu
                    answered = load(server.port, sent, clients=clients)
                    found.setdefault((clients, name), []).append((answered, 1000 * (server.cpu - before) / len(sent)))
                    print(clients, name, dict(answered.statuses), f"{answered.rate:.1f}/s", file=sys.stderr, flush=True)
    rows = []
    for (clients, name), measured in found.items():
        ours = [answered.rate for answered, _ in found[clients, US]]
        ratios = [mine / answered.rate for mine, (answered, _) in zip(ours, measured, strict=True)]
        loads = [answered for answered, _ in measured]
        rows.append(
            (
                str(clients),
                name,
                f"{statistics.median(answered.rate for answered in loads):.1f}",
                *(f"{1000 * statistics.median(answered.percentile(p) for answered in loads):.0f}" for p in (0.5, 0.99)),
                f"{statistics.median(cpu for _, cpu in measured):.1f}",
                str(sum(answered.statuses.total() - answered.statuses[200] for answered in loads)),
                "" if name == US else median_of(ratios),
            )
        )
    head = (
        "clients",
        "",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "not answered",
        "`serve` is so many times as fast",
    )
    table = markdown_table(head, rows, right=(0, 2, 3, 4, 5, 6, 7))
    each = f"{count} requests in each of {rounds} rounds (a quarter with one client)"
    return f"JPEGs of 256 x 256 pixels, {each}.\n\n{table}"


def _long(good: Sequence[bytes], image: bytes, count: int) -> str:
    """Good requests and hostile ones in a mixed order, and what memory does meanwhile."""
    rng = random.Random(0)
    hostile = [
        request(b"", b"image/jpeg"),
        request(image[:1500], b"image/jpeg"),
        request(rng.randbytes(20_000), b"application/octet-stream"),
        request(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\0\xff\xff" * 2 + b"\x08\x06\0\0\0" + bytes(4), b"image/png"),
        request(b"--b\r\n" * 1000, b"multipart/form-data; boundary=b"),
        request(image, b"multipart/form-data"),
        b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ]
    with _running(*OURS) as server:
        load(server.port, _repeated(good, 500), clients=16)
        megabytes, statuses, rest = [server.megabytes], Load().statuses, count
        while rest > 0:
            part = [rng.choice(hostile if rng.random() < 0.3 else good) for _ in range(min(rest, count // 10))]
            statuses += load(server.port, part, clients=16).statuses
            rest -= len(part)
            megabytes.append(server.megabytes)
            print(dict(statuses), f"{megabytes[-1]:.0f} MB", file=sys.stderr, flush=True)
        alive = load(server.port, good[:1], clients=1).statuses[200]
    told = ", ".join(f"{number:,} {status or 'lost'}" for status, number in sorted(statuses.items()))
    return (
        f"{count:,} requests of 16 clients, three in ten hostile (cut and random bytes, a PNG of 4 gigapixels, "
        f"damaged forms and HTTP): {told}. Memory after a warm-up of 500, and after each tenth: "
        f"{', '.join(f'{size:.0f}' for size in megabytes)} MB. It {'still' if alive else 'no longer'} answers."
    )


def _killed(requests: Sequence[bytes]) -> str:
    """Kill the service under load, and start it again on the same port."""
    with _running(*OURS) as server:
        threading.Timer(1, server.process.kill).start()
        first = load(server.port, _repeated(requests, 400), clients=64).statuses
        server.process.wait()
        started = time.perf_counter()
        with _running(*OURS, "--port", str(server.port)) as again:
            seconds = time.perf_counter() - started
            second = load(again.port, _repeated(requests, 128), clients=64).statuses
    return (
        f"Killed (SIGKILL) a second into the load of 64 clients: {first[200]} answered, {first[LOST]} lost. Started "
        f"again on the same port, it was ready after {seconds:.1f} s and answered {second[200]} of 128 requests."
    )


def _picture(seed: int, side: int = 256) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    stored = io.BytesIO()
    Image.fromarray(noise).resize((side, side)).save(stored, "JPEG", quality=90)
    return stored.getvalue()


def _repeated(requests: Sequence[bytes], count: int) -> list[bytes]:
    return [requests[number % len(requests)] for number in range(count)]


@contextmanager
def _running(*arguments: str) -> Iterator[Server]:
    port = () if "--port" in arguments or OURS[0] not in arguments else ("--port", "0")
    process = subprocess.Popen([sys.executable, *arguments, *port], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = next((m for line in process.stderr if (m := re.match(r"Serving on http://.*:(\d+)", line))), None)
        if found is None:
            raise SystemExit(f"{' '.join(arguments)} ended before it served")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(process, int(found[1]))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
