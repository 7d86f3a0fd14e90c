"""Paths as people give them, and how commands end."""

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rexnet_ai_real.cli.arguments import add_images, command, listed_paths
from rexnet_ai_real.detector.arguments import add_detector
from rexnet_ai_real.detector.backends import BACKENDS
from rexnet_ai_real.errors import UserError


def test_paths_stay_as_they_are_and_globs_are_expanded_in_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "deep/c.jpg", "d.png", "[x].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = listed_paths(["nowhere.jpg", str(tmp_path), f"{tmp_path}/**/[abc].jpg", f"{tmp_path}/[x].jpg"])
    assert list(found) == [
        "nowhere.jpg",
        str(tmp_path),
        *(f"{tmp_path}/{name}" for name in ("a.jpg", "b.jpg", "deep/c.jpg")),
        f"{tmp_path}/[x].jpg",
    ]
    with pytest.raises(UserError, match=r"\*\.webp matches no file"):
        listed_paths([f"{tmp_path}/*.webp"])


@pytest.mark.parametrize(
    ("given", "null", "names"),
    [
        (b"a.jpg\nb c.jpg\n\nlast", False, ["a.jpg", "b c.jpg", "last"]),
        (b"a.jpg\r\n\xff.jpg\r\n", False, ["a.jpg", "\udcff.jpg"]),
        (b"two\nlines.jpg\0plain.jpg\0", True, ["two\nlines.jpg", "plain.jpg"]),
        (b"", False, []),
    ],
)
def test_names_come_from_standard_input(given: bytes, null: bool, names: list[str]) -> None:
    assert list(listed_paths(["-"], null=null, stdin=io.BytesIO(given))) == names


@pytest.mark.parametrize("null", [False, True])
def test_names_are_read_as_they_come(null: bool) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as stdout:
        names = listed_paths(["-"], null=null, stdin=stdin)
        for name in ("a.jpg", "b.jpg"):
            stdout.write(name.encode() + (b"\0" if null else b"\n"))
            assert next(names) == name


def test_ends_are_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise UserError("nothing there: give something")

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert command(lambda: 1) == 1
    assert command(fails) == 2
    assert capsys.readouterr().err == "UserError: nothing there: give something\n"
    assert command(interrupted) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = (
        "import sys; from rexnet_ai_real.cli.arguments import command\n"
        "def run():\n    while True: print('x' * 1000, flush=True)\n"
        "sys.exit(command(run))"
    )
    shell = f"'{sys.executable}' -c \"{program}\" | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_backends_offered_are_those_there_are() -> None:
    parser = argparse.ArgumentParser()
    add_detector(parser)
    (offered,) = [action.choices for action in parser._actions if action.dest == "backend"]
    assert set(offered or ()) == {"auto", *BACKENDS}


def test_the_limit_of_pixels_is_that_of_the_decoder() -> None:
    from rexnet_ai_real.images.limits import MAX_PIXELS

    parser = argparse.ArgumentParser()
    add_images(parser)
    assert parser.parse_args(["a.jpg"]).max_pixels == MAX_PIXELS
