"""A detector as an HTTP service, and the page that judges images in the browser.

    python -m rexnet_ai_real.serve                          the detector that comes with this program, on port 8000
    python -m rexnet_ai_real.serve exported/ --port 9000 --queue 64
    curl --data-binary @a.jpg 'http://127.0.0.1:8000/v1/detect?provenance=true'

Everything stays in memory: nothing is written to disk, and nothing of an image is logged. docs/service.md says more.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rexnet_ai_real.cli.arguments import positive
from rexnet_ai_real.cli.ending import DONE, command
from rexnet_ai_real.detector.arguments import MODEL, add_detector, load_detector
from rexnet_ai_real.serve.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rexnet_ai_real.page.site import PageFile

HOST: Final = "127.0.0.1"
PORT: Final = 8000


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: stopped by SIGTERM; 2: a wrong command; 130: stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    return command(lambda: serve(options), "Every request that was accepted has its answer.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.serve",
        description="Answer over HTTP whether images are AI-generated: the page at /, POST /v1/detect, /v1/model, "
        "/healthz, /readyz, /metrics and /openapi.json.",
        epilog="There is no encryption: for other machines, put a proxy with TLS before it, and give --api-keys. Exit "
        "code: 0 stopped by SIGTERM, 2 wrong command or detector, 130 stopped by Ctrl-C.",
    )
    parser.add_argument(
        "model", nargs="?", metavar="DETECTOR", help=f"{MODEL} (default: the one that comes with this program)"
    )
    add_detector(parser)
    parser.add_argument("--host", default=HOST, help="address to listen on (default: %(default)s, this machine alone)")
    parser.add_argument("--port", type=_port, default=PORT, help="0: any that is free (default: %(default)s)")
    parser.add_argument(
        "--api-keys", type=Path, metavar="FILE", help="one key a line: only requests with one of them are answered"
    )
    usual = Limits()
    for name, kind, default, words in (
        ("--max-bytes", positive, usual.max_bytes, "of one image file"),
        ("--max-pixels", positive, usual.max_pixels, "of one image"),
        ("--max-files", positive, usual.max_files, "in one request"),
        (
            "--timeout",
            _timeout,
            usual.timeout,
            "seconds for a body to arrive, and again for its images to be judged",
        ),
        ("--queue", positive, usual.queue, "images that may wait; further ones are told to come back"),
        ("--batch-size", positive, usual.batch_size, "images that go through the network together"),
        ("--max-wait-ms", _seconds, usual.max_wait_ms, "milliseconds that a batch waits for images being decoded"),
        ("--workers", positive, usual.workers, "threads that decode images"),
        ("--max-connections", positive, usual.max_connections, "open at once"),
    ):
        parser.add_argument(name, type=kind, default=default, metavar="N", help=f"{words} (default: {default})")
    return parser


def serve(options: argparse.Namespace) -> int:
    """Carry out the command."""
    # Not above: --help needs none of it.
    import logging
    import os

    from rexnet_ai_real.detector.ready import FOLDER, NAME
    from rexnet_ai_real.serve.app import Service, application
    from rexnet_ai_real.serve.judge import Judge
    from rexnet_ai_real.serve.keys import Keys
    from rexnet_ai_real.serve.metrics import Metrics
    from rexnet_ai_real.serve.server import Server, is_loopback, listening

    limits = Limits(**{name: getattr(options, name) for name in Limits.__slots__})
    keys = Keys.read(options.api_keys) if options.api_keys else None
    if options.model == NAME and not os.path.lexists(NAME):
        options.model = None
    detector, worth = load_detector(options)
    page = _page(options.model)
    metrics = Metrics()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("rexnet_ai_real.serve").setLevel(logging.INFO)
    with listening(options.host, options.port) as opened, Judge(detector, limits, metrics.batch.observe) as judge:
        metrics.waiting.set_function(lambda: judge.waiting)
        if keys is None and not is_loopback(opened):
            print("Anyone who reaches this machine may ask: give --api-keys FILE to change that.", file=sys.stderr)
        card = _card(Path(options.model or FOLDER))
        service = Service(judge, worth, metrics, keys=keys, card=card, page=page)
        server = Server(application(service), service.traffic, max_connections=limits.max_connections)
        server.run([opened])
    if server.is_interrupted:
        raise KeyboardInterrupt
    return DONE


def _page(model: str | None) -> "Mapping[str, PageFile]":
    """The page of the detector; of one that browsers cannot run, none."""
    from rexnet_ai_real.errors import UserError
    from rexnet_ai_real.page import site

    try:
        return site.page_files(model)
    except UserError as error:
        print(f"There is no page at /, only the routes for programs: {error}", file=sys.stderr)
        return {}


def _card(folder: Path) -> str | None:
    """The model card that `export` wrote beside the detector."""
    try:
        return (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # a run has none
        return None


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 to 1,000,000")
    return number


def _timeout(text: str) -> float:
    if not (number := _seconds(text)):
        raise argparse.ArgumentTypeError(f"{text}: nothing would ever be in time; expected a number above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
