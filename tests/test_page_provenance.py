"""The page reads the same provenance in a file as Python does: the same files, read by both."""

import json
import random
import re
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rexnet_ai_real.page.provenance_table import javascript, provenance_table
from rexnet_ai_real.provenance import read_provenance
from rexnet_ai_real.provenance.content_credentials import INSTALL
from rexnet_ai_real.provenance.generators import BY_NAME
from tests.javascript import run_module
from tests.provenance_cases import cases, mutations
from tests.provenance_files import WEB_UI, chunk, png, with_chunks

READ = """
const { readProvenance } = await import("./js/provenance/reader.js");
const found = [];
for (const path of argument.paths) {
  found.push(await readProvenance(new Uint8Array(readFileSync(path)), argument.table));
}
process.stdout.write(JSON.stringify(found));
"""
NOT_CHECKED = "its signature is not checked on this page"


def read_by_page(files: Iterable[Path], folder: Path) -> list[dict[str, Any]]:
    """What the page finds in each file, by one process for all."""
    argument = {"paths": [str(file) for file in files], "table": provenance_table()}
    found: list[dict[str, Any]] = run_module(READ, folder, argument)
    return found


def read_by_python(data: bytes) -> dict[str, Any]:
    """The same of Python, without the extra that checks signatures."""
    found = read_provenance(data)
    credentials = found.c2pa and {
        "state": found.c2pa.state,
        "where": found.c2pa.where,
        "problem": NOT_CHECKED,
        "summary": found.c2pa.summary.replace(INSTALL, NOT_CHECKED),
    }
    return {
        "says": found.says,
        "verdict": found.verdict.replace(INSTALL, NOT_CHECKED),
        "evidence": [asdict(item) for item in found.evidence],
        "problem": found.problem,
        "c2pa": credentials,
    }


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without the words in which the two readers of XML say where and why a packet is none."""
    words = r"XMP is no sound XML: .*?(?:line \d+, column \d+|at character \d+)"
    return json.loads(re.sub(words, "XMP is no sound XML", json.dumps(found)))  # type: ignore[no-any-return]


@pytest.fixture
def without_c2pa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)


def assert_same(contents: list[bytes], folder: Path) -> list[dict[str, Any]]:
    """Compare the two on each file; return what Python found."""
    paths = [folder / str(number) for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    of_page, of_python = read_by_page(paths, folder / "page"), [read_by_python(data) for data in contents]
    for path, here, there in zip(paths, of_page, of_python, strict=True):
        assert comparable(here) == comparable(there), path
    return of_python


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return list(cases())


@pytest.mark.usefixtures("without_c2pa")
def test_every_file_says_the_same(files: list[bytes], tmp_path: Path) -> None:
    found = assert_same(files, tmp_path)
    kinds = {item["kind"] for one in found for item in one["evidence"]}
    assert kinds == {"parameters", "software", "source type", "label", "credit", "description", "camera"}
    assert {one["says"] for one in found} == {"ai", "edited", "real", "unknown", None}
    assert any(one["c2pa"] for one in found)


@pytest.mark.usefixtures("without_c2pa")
def test_damaged_files_say_the_same(files: list[bytes], tmp_path: Path) -> None:
    sound = [data for data in files if len(data) < 100_000]
    found = assert_same(list(mutations(sound, 300)), tmp_path)
    assert 50 < sum(one["problem"] is not None for one in found) < 250
    assert sum(bool(one["evidence"]) for one in found) > 100


@pytest.mark.usefixtures("without_c2pa")
def test_every_character_is_shown_and_compared_alike(tmp_path: Path) -> None:
    """All characters as a value, and each kind of them beside the names of programs, where they may end a word."""
    assigned = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    lines = ["".join(assigned[at : at + 190]) for at in range(0, len(assigned), 190)]
    # Fifty findings are kept of a file.
    files = [softwares(*(f"x{line}" for line in lines[at : at + 40])) for at in range(0, len(lines), 40)]
    first_of_kind = {unicodedata.category(letter): letter for letter in reversed(assigned)}
    beside = [*first_of_kind.values(), *"ıİſK_-é²٣\u0345"]
    for letter in beside:
        files.append(softwares(f"GIMP{letter}", f"{letter}CANVA", f"Kri{letter}ta", f"{letter}Picasa{letter}"))
    files.append(softwares("m\u0131djourney", "M\u0130DJOURNEY", "\u017fnap\u017feed", "\u212arita"))
    found = assert_same(files, tmp_path)
    assert sum(len(one["evidence"]) for one in found) > 900


def softwares(*names: str) -> bytes:
    """A PNG with a text for each name of a program."""
    return with_chunks(*[chunk(b"iTXt", b"Software\0\0\0\0\0" + name.encode()) for name in names])


LABEL = '{"AIGC": {"Label": %s, "ContentProducer": "x"}}'


TEXTS = [
    *(
        LABEL % label
        for label in ("1", "-0", "1.0", "1e0", "NaN", "true", "null", '"1"', "[1]", "12345678901234567890")
    ),
    *(
        LABEL % label
        for label in ('"\\u0031"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\u00e"', '"\t"', "01", "1.", "+1", "-")
    ),
    LABEL % ("1" * 4300),
    LABEL % ("1" * 4301),
    '{"Label": 2, "Label": 1, "AIGC": 0, "ProduceID": ""}',
    '{"AIGC": {"__proto__": 1, "constructor": 2, "Label": 3, }}',
    '\u00a0{"AIGC": {"Label": 1}}',
    ' \n[[[{"AIGC": {"Label": 1}}]]] \t',
    "[" * 500 + LABEL % 1 + "]" * 500,
    json.dumps({str(number): number for number in range(299, -1, -1)} | {"class_type": ""}),
    json.dumps({str(number): {} for number in range(298)} | {"inner": {"class_type": ""}}),
    json.dumps({str(number): {} for number in range(300)} | {"inner": {"class_type": ""}}),
    json.dumps([{}] * 298 + [{"class_type": ""}]),
    json.dumps([{}] * 299 + [{"class_type": ""}]),
    '{"prompt": "Steps: 20, Sampler: k", "a": Infinity, "b": -Infinity, "c": [1.5e-3, -2]}',
    "Prompt: {} Steps: 2, " * 25 + "Seed: 1, Size: 2, ",
    "Steps: 1, " + "😀" * 490 + "Sampler: k, ",
    "Steps: 1, " + "😀" * 491 + "Sampler: k, ",
]


@pytest.mark.usefixtures("without_c2pa")
def test_texts_are_read_alike(tmp_path: Path) -> None:
    """JSON at its edges, and characters that JavaScript counts twice."""
    files = [png(False, True, **{key: text}) for text in TEXTS for key in ("Comment", "Label")]
    found = assert_same(files, tmp_path)
    assert {item["kind"] for one in found for item in one["evidence"]} == {"label", "parameters"}


@pytest.mark.usefixtures("without_c2pa")
def test_packed_texts_are_unpacked_alike(tmp_path: Path) -> None:
    """By every method of zlib, sound, cut off, with a changed bit, and with more behind."""
    chance = random.Random(0)
    files = []
    for level in range(10):
        for strategy in range(5):
            packing = zlib.compressobj(level, strategy=strategy)
            noise = "".join(chance.choices("abcdef \n", k=chance.randrange(600)))
            packed = bytearray(packing.compress(f"{WEB_UI} {noise}".encode()) + packing.flush())
            place = chance.randrange(len(packed))
            files += [bytes(packed), bytes(packed[:place]), bytes(packed) + b"more", bytes(packed[:-1])]
            for _ in range(4):
                changed = packed.copy()
                changed[chance.randrange(len(packed))] ^= 1 << chance.randrange(8)
                files.append(bytes(changed))
    found = assert_same([with_chunks(chunk(b"zTXt", b"parameters\0\0" + packed)) for packed in files], tmp_path)
    unsound = sum("cannot be unpacked" in (one["problem"] or "") for one in found)
    assert 50 < unsound < 250


@pytest.mark.usefixtures("without_c2pa")
def test_real_files_say_the_same(shared_data: Path, tmp_path: Path) -> None:
    files = [path for path in sorted((shared_data / "kaggle-raw").rglob("*")) if path.is_file()][::4]
    of_page = read_by_page(files, tmp_path / "page")
    for path, here in zip(files, of_page, strict=True):
        assert comparable(here) == comparable(read_by_python(path.read_bytes())), path


@pytest.mark.usefixtures("without_c2pa")
def test_files_of_the_shared_cases_say_the_same(shared: Path, tmp_path: Path) -> None:
    script = shared / "cases" / "make_provenance.py"
    if not script.exists():
        pytest.skip(f"no {script}")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    files = sorted((tmp_path / "provenance").iterdir())
    of_page = read_by_page(files, tmp_path / "page")
    assert [comparable(here) for here in of_page] == [comparable(read_by_python(file.read_bytes())) for file in files]


def test_the_table_is_plain_json_and_names_every_program() -> None:
    table = provenance_table()
    assert json.loads(json.dumps(table)) == table
    assert [row["name"] for row in table["programs"]] == [name for _, programs in BY_NAME for name, _ in programs]


@pytest.mark.parametrize("pattern", [r"a\sb", r"[\S]", r"\Bx", r"(?i)[a-f]", "(?m)x", "(?a)x"])
def test_expressions_of_another_meaning_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not translated"):
        javascript(re.compile(pattern))
