"""The commands by name: `rexnet-ai-real NAME ...` runs what `python -m rexnet_ai_real.NAME ...` runs."""

import runpy
import sys
from difflib import get_close_matches
from typing import Final

from rexnet_ai_real.cli.ending import DONE, WRONG, ending

COMMANDS: Final = {
    "data": "look into a data set before training on it",
    "train": "train a detector",
    "sweep": "write the summary of a sweep again",
    "evaluate": "report how far a detector can be trusted",
    "predict": "tell of images whether they are AI-generated",
    "explain": "show where in images the evidence lies",
    "serve": "answer over HTTP, with a page for browsers",
    "export": "write a detector for use elsewhere: ONNX, OpenVINO, 8 bits, the Hugging Face Hub",
    "page": "serve a page that judges images in the browser, where they stay",
    "provenance": "show what the metadata of images say of their origin",
}


def run(arguments: list[str]) -> int:
    """Run the command that the first argument names, with the other arguments, and return its exit code.

    Raises:
        SystemExit: with that exit code, where the command ends the program itself.
    """
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
        return DONE
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(COMMANDS)}"
        print(f"{name} is no command of rexnet-ai-real: {hint}", file=sys.stderr)
        return WRONG
    sys.argv[1:] = rest
    # As `python -m` does, so that processes which this one starts (DDP, workers, launchers) find the command too.
    with ending():  # also for what a command imports before it begins
        runpy.run_module(f"rexnet_ai_real.{name}", run_name="__main__", alter_sys=True)
    return DONE


def _help() -> str:
    lines = "\n".join(f"  {name:<12}{words}" for name, words in COMMANDS.items())
    return (
        "Tell AI-generated images from real ones.\n\nusage: rexnet-ai-real COMMAND ...\n\n"
        f"{lines}\n\nWhat a command takes: rexnet-ai-real COMMAND --help\n"
        "Exit codes: 0 done, 1 some images, jobs or parts failed, 2 wrong command, 130 interrupted."
    )
