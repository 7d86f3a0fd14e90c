"""`--help` of the commands that Hydra configures: Hydra composes everything to print it, which takes two seconds."""

import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent.parent
CONF: Final = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"
"""The YAML tree: inside an installed package, beside it in a checkout."""


def show_help(text: str | None, groups: tuple[str, ...]) -> bool:
    """Print the page if the command line asks for it, and say whether it did.

    Args:
        text: what comes first: the docstring of the command.
        groups: folders under conf/ whose files can be chosen with group=option.
    """
    if not {"--help", "-h"} & set(sys.argv[1:]):
        return False
    print(f"{(text or '').strip()}\n\nGroups, chosen as group=option (+group=option for experiment and sweep):\n")
    for group in groups:
        print(f"  {group}: {', '.join(sorted(file.stem for file in (CONF / group).glob('*.yaml')))}")
    print("\nWhat would be used: add `--cfg job`. Hydra's own options: `--hydra-help`.")
    return True
