"""Fuzz every target in turn for so many seconds: `python -m tests.fuzz 600`; ends at the first broken promise."""

import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.mutations import damaged
from tests.fuzz.targets import TARGETS, Target

_ROUND = 200


def main(seconds: float) -> None:
    """Hypothesis shrinks what it finds and prints it: keep that as a test in tests/attacks."""
    began, tried = time.monotonic(), Counter[str]()
    number = int(time.time())
    while time.monotonic() - began < seconds:
        for name, target in TARGETS.items():
            tried[name] += _fuzz(name, target, number)
        number += 1
    counts = ", ".join(f"{name} {count:,}" for name, count in tried.items())
    print(f"{time.monotonic() - began:.0f} seconds, no finds: {counts}")


def _fuzz(name: str, target: Target, number: int) -> int:
    tried = 0

    @seed(number)
    @settings(
        max_examples=_ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(name))
    def attack(data: bytes) -> None:
        nonlocal tried
        tried += 1
        target(data)

    attack()
    return tried


if __name__ == "__main__":
    main(float(sys.argv[1]))
