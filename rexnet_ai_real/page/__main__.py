"""Serve the page that judges images in the browser: `python -m rexnet_ai_real.page [DETECTOR]`.

The images never leave the browser. To put the page on a static host instead: `export DETECTOR OUT --formats web`.
"""

import argparse
import sys

from rexnet_ai_real.cli.ending import DONE, command
from rexnet_ai_real.detector.arguments import EXPORTED
from rexnet_ai_real.errors import UserError

LOOPBACK = "127.0.0.1"


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2: a wrong command or detector, or the port is taken; 130: ended by Ctrl-C, as it is meant to be."""
    options = _parser().parse_args(arguments)
    return command(lambda: serve(options), "The page is no longer served. Browsers that have opened it keep it.")


def serve(options: argparse.Namespace) -> int:
    """Carry out the command: until Ctrl-C.

    Raises:
        UserError: no such detector, or none that the page can run; the port is taken.
    """
    from rexnet_ai_real.page.server import PageServer  # ONNX Runtime: --help needs none of it
    from rexnet_ai_real.page.site import page_files

    files = page_files(options.detector)
    try:
        server = PageServer(files, options.host, options.port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{options.host}:{options.port} cannot be served: {reason.lower()}. Try --port 0") from error
    with server:
        size = sum(len(file.data) for file in files.values())
        print(f"The page is at {server.address} ({size / 1e6:.1f} MB; images stay in the browser). Ctrl-C ends it.")
        sys.stdout.flush()
        server.serve_forever()
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rexnet_ai_real.page",
        description="Serve a page that judges images in the browser, where they stay. Once loaded, the page works "
        "without a network, and without this command.",
        epilog="Exit code: 2 wrong command or detector, 130 ended by Ctrl-C.",
    )
    parser.add_argument("detector", nargs="?", metavar="DETECTOR", help=EXPORTED)
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen on (default: {LOOPBACK}, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8008, help="0: any free one (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
