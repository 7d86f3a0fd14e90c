"""The harness of the benchmarks: who is called when, what a ratio is, what becomes of older results."""

import itertools
import time
from pathlib import Path

import pytest

from benchmarks.side_by_side import Timing, table, take_turns, write_section


def test_things_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    clock = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    found = take_turns({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, items=10, pairs=5, warm_up=2)
    assert called == ["a", "b"] * 7
    assert list(found["a"].seconds) == [1] * 5
    assert found["b"].rate == 10
    with pytest.raises(ValueError, match="pairs=4: 5 or more"):
        take_turns({}, pairs=4)


def test_ratios_are_of_neighbours() -> None:
    ours, theirs = Timing("ours", (1.0, 2.0, 1.0), 10), Timing("theirs", (3.0, 4.0, 5.0), 10)
    assert ours.times_as_fast_as(theirs) == (3.0, 2.0, 5.0)
    assert theirs.times_as_fast_as(ours)[0] == pytest.approx(1 / 3)
    lines = table({"theirs": theirs, "ours": ours}, "theirs").splitlines()
    assert lines[2:] == ["| theirs | 2.5 | 1 |", "| ours | 10.0 | 3.00 [2.00, 5.00] |"]


def test_a_section_replaces_its_older_self_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "RESULTS.md"
    monkeypatch.setattr("sys.argv", ["/somewhere/benchmarks/loader.py", "/home/somebody/images"])
    for title, body in (("A", "first"), ("B", "other"), ("A", "second")):
        write_section(title, body, threads=1, results=results)
    text = results.read_text()
    assert text.count("## A") == text.count("## B") == 1
    assert "first" not in text
    assert text.index("second") < text.index("other")
    assert "`python -m benchmarks.loader images`" in text
    assert "/home" not in text
