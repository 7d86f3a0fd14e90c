"""Metadata: EXIF, XMP, text chunks; whatever is shown on a terminal is escaped, and masses of them end the reading."""

import dataclasses
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import PngImagePlugin

from rexnet_ai_real.provenance import generators, read_provenance
from rexnet_ai_real.provenance.__main__ import main
from tests.provenance_files import WEB_UI, png, with_chunks
from tests.test_decode import chunk, encoded, scene

COMMAND = [sys.executable, "-m", "rexnet_ai_real.provenance"]


def test_names_and_values_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "Midjourney\x1b[2J\x1b]0;title\x07")
    for name in (b"a\x1b[31mred.png", b"b\nreal: a camera.png", b"caf\xe9.png", "c\u202e gnp.png".encode()):
        scene().save(os.fsdecode(os.fsencode(tmp_path) + b"/" + name), "PNG", pnginfo=text)
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0].rpartition("/")[2] for line in lines] == [
        r"a\x1b[31mred.png",
        r"b\nreal",
        r"caf\udce9.png",
        r"c\u202e gnp.png",
    ]
    assert all(line.isprintable() for line in lines)


def test_names_of_fields_cannot_steer_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(with_chunks(chunk(b"tEXt", b"a\x1b[31m\x85\0" + WEB_UI.encode("latin-1"))))
    found = read_provenance(file)
    assert found.evidence
    assert all(item.field.isprintable() for item in found.evidence)
    assert found.verdict.isprintable()


def folder_of_images(folder: Path, count: int) -> Path:
    for number in range(count):
        (folder / f"{number:04}.png").write_bytes(png(parameters=WEB_UI))
    return folder


def test_a_reader_that_has_seen_enough_ends_the_command(tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path, 60)
    process = subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(os.fsencode(folder))
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's own")
def test_a_full_output_ends_the_command_in_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, str(folder_of_images(tmp_path, 2))], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "standard output cannot be written: no space left on device. The lines above are complete"
    ]


def test_ctrl_c_ends_the_command_in_one_line(tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path, 1500)
    process = subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().split("\n") == ["", "Interrupted. The lines above are complete.", ""]
    assert output == b"" or output.endswith(b"\n")


def test_the_command_is_ready_for_ctrl_c_before_pillow_is_loaded() -> None:
    check = (
        "import sys, rexnet_ai_real.provenance.__main__ as m; sys.exit('PIL' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_masses_of_json_are_looked_at_only_near_the_top() -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    wide: dict[str, Any] = {f"key {number}": {"a": [{}] * 50} for number in range(5000)}
    for value in (deep, wide, [wide] * 3, {"a": json.dumps({"b": json.dumps(wide)})}):
        parts = list(generators._parts("Comment", json.dumps(value)))
        assert len(parts) <= generators.MAX_ENTRIES
    assert read_provenance(png(Comment="[" * 200_000)).evidence == ()
    assert read_provenance(png(Comment='{"a":' * 200_000)).evidence == ()


def test_masses_of_settings_are_searched_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    class Counting:
        @staticmethod
        def findall(text: str) -> list[str]:
            searched.append(len(text))
            return []

    counting: Any = Counting
    forms = [dataclasses.replace(form, settings=form.settings and counting) for form in generators.FORMS]
    monkeypatch.setattr(generators, "FORMS", forms)
    assert read_provenance(png(Comment="Steps: 1, " * 20_000)).evidence == ()
    assert len(searched) <= 20
    assert max(searched) <= 500


def test_segments_without_end_end_the_reading() -> None:
    plain = encoded(scene(), "JPEG")
    found = read_provenance(plain[:2] + b"\xff\xe2\0\2" * 300_000 + plain[2:])
    assert found.problem == "more than 262,144 JPEG segments"


def test_values_that_share_bytes_are_bounded() -> None:
    """A directory of which every entry claims the same 200 kB."""
    fields = b"".join(struct.pack("<HHII", 0x010E, 2, 200_000, 8) for _ in range(4000))
    exif = b"II*\0\x08\0\0\0" + struct.pack("<H", 4000) + fields + b"a" * 200_000
    found = read_provenance(with_chunks(chunk(b"eXIf", exif)))
    assert found.evidence == ()
