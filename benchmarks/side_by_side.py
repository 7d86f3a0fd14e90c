"""Time things in turn (A, B, A, B, ...), so that what else the machine does falls on both; report ratios and spread.

Results go into benchmarks/RESULTS.md, a section each, with the command and the machine.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from rexnet_ai_real.files import write_text
from rexnet_ai_real.markdown import markdown_table

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
PAIRS: Final = 7
_HEAD: Final = """# Measured speed

Each figure is a ratio from one interleaved run: the things compared take turns, and what counts is the median of the
ratios of neighbours; in brackets, the lowest and the highest. Seconds depend on the machine and on what else it does,
ratios much less. `make bench` measures anew and replaces the sections below.
"""


@dataclass(frozen=True)
class Timing:
    """Seconds of each round of one thing."""

    name: str
    seconds: tuple[float, ...]
    items: int
    """Images, or whatever else was done in a round."""

    @property
    def rate(self) -> float:
        """Items per second, by the median."""
        return self.items / statistics.median(self.seconds)

    def times_as_fast_as(self, other: "Timing") -> tuple[float, float, float]:
        """Median, lowest and highest of the ratios of rates, round by round."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        ratios = sorted((self.items * theirs) / (other.items * ours) for ours, theirs in pairs)
        return statistics.median(ratios), ratios[0], ratios[-1]


def take_turns(
    things: Mapping[str, Callable[[], object]], *, items: int = 1, pairs: int = PAIRS, warm_up: int = 1
) -> dict[str, Timing]:
    """Call each in turn, `pairs` times after `warm_up` rounds that do not count; by name.

    Args:
        things: what to call, by name.
        items: images, or other things, that each call deals with.
        pairs: rounds; 5 or more.
        warm_up: rounds before.

    Raises:
        ValueError: fewer than 5 rounds, which give no spread.
    """
    if pairs < 5:
        raise ValueError(f"pairs={pairs}: 5 or more, or the spread says nothing")
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(warm_up + pairs):
        for name, thing in things.items():
            started = time.perf_counter()
            thing()
            taken = time.perf_counter() - started
            if number >= warm_up:
                seconds[name].append(taken)
        _tell(f"round {number + 1} of {warm_up + pairs}")
    _tell("")
    return {name: Timing(name, tuple(taken), items) for name, taken in seconds.items()}


def table(timings: Mapping[str, Timing], against: str, *, unit: str = "images/s") -> str:
    """Markdown: rate of each and how many times as fast it is as `against`."""
    rows = []
    for name, timing in timings.items():
        ratio, low, high = timing.times_as_fast_as(timings[against])
        said = "1" if name == against else f"{ratio:.2f} [{low:.2f}, {high:.2f}]"
        rows.append((name, f"{timing.rate:,.1f}", said))
    return markdown_table(("", unit, f"times as fast as {against}"), rows, right=(1, 2))


def machine(threads: int) -> str:
    """One line on what was measured on."""
    import torch

    packages = ("torch", "onnxruntime", "openvino", "timm", "pillow")
    libraries = ", ".join(f"{name} {found}" for name in packages if (found := _version(name)))
    cores = torch.get_num_threads()
    return f"{_processor()}, {threads or cores} threads, Python {platform.python_version()}, {libraries}"


def write_section(title: str, body: str, *, threads: int, results: Path = RESULTS) -> None:
    """Put a section into RESULTS.md in place of the older one of the same title; the file is written whole.

    Args:
        title: its heading.
        body: Markdown.
        threads: that the measurement ran on.
        results: the file.
    """
    # Where paths lie on one machine tells nobody else anything.
    arguments = [Path(argument).name for argument in sys.argv[1:]]
    command = " ".join(["python -m", f"benchmarks.{Path(sys.argv[0]).stem}", *arguments])
    section = f"## {title}\n\n{body.strip()}\n\n`{command}` on {machine(threads)}, {time.strftime('%Y-%m-%d')}.\n"
    old = results.read_text(encoding="utf-8") if results.exists() else _HEAD
    head, *sections = old.split("\n## ")
    kept = {part.partition("\n")[0]: f"## {part.strip()}\n" for part in sections}
    kept[title] = section
    write_text(results, "\n".join([head.strip() + "\n", *kept.values()]))
    print(section)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<40}", end="" if text else "\r", file=sys.stderr, flush=True)


def median_of(values: Sequence[float]) -> str:
    """Median and range, for tables."""
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
