"""All commands under one name: `python -m rexnet_ai_real COMMAND ...`, installed as `rexnet-ai-real`."""

import sys

from rexnet_ai_real.cli.commands import run


def main() -> int:
    """Run the command that is named on the command line; returns its exit code."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
