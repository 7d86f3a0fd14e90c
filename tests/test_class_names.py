"""Class names of folders and labels, and the lines that messages advise: pasted into a shell, they work."""

import shlex
from collections import Counter

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from rexnet_ai_real import config
from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.data.__main__ import _parser
from rexnet_ai_real.data.class_names import ClassNames, counted, settings_line, which_is_which
from rexnet_ai_real.images.layouts import CLASS_FOLDERS, plain_name
from rexnet_ai_real.labels import AI, REAL

ODD_NAMES = (
    *("0", "1", "01", "1_000", "1.0", "1e3", "true", "null", "NaN", "a b", "a  b", " a", "Fake Images (v2)", "[x]"),
    *("a,b", "{x}", "a:b", "a=b", "it's", 'say "x"', "café", "日本", "a\\b", "50%", "${x}", "#1", "-", "new\nline"),
    *("caf\udce9", "*", "a?b"),
)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("0_real", "real"),
        ("1 - Fake", "fake"),
        ("AI-Generated_Images", "aigeneratedimages"),
        ("0", "0"),
        ("10", "10"),
        ("2024_photos", "2024photos"),
        ("3_", "3"),
    ],
)
def test_spellings_of_a_folder_are_one_name(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize("name", ["0", "1", "class_0", "cats", "0_cats", "real_vs_fake", "airplane", "realism", ""])
def test_what_is_no_class_is_not_taken_for_one(name: str) -> None:
    assert ClassNames({}, CLASS_FOLDERS).label(name) is None


def test_own_names_win_in_any_case_and_as_patterns() -> None:
    names = ClassNames({"Human": None, "sd*": "ai", "sdss": "real", "fake": "real"}, CLASS_FOLDERS)
    found = {name: names.label(name) for name in ("human", "humans", "SD-XL", "SDSS", "FAKE", "ai")}
    assert found == {"human": None, "humans": REAL, "SD-XL": AI, "SDSS": REAL, "FAKE": REAL, "ai": AI}


def typed(line: str) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """What training and `data` understand when they are given an advised line in a shell."""
    hydra, rest = line.split(" (with `python -m rexnet_ai_real.data`: ")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        [override] = shlex.split(hydra)
        trained = config.load(compose("train", overrides=["data=folder", override])).data.classes
    return trained, dict(_parser().parse_args(shlex.split(rest.removesuffix(")"))).classes)


def test_the_advised_line_can_be_pasted_and_works() -> None:
    for own in typed(settings_line({**dict.fromkeys(ODD_NAMES, AI), "other": REAL, "human": None})):
        names = ClassNames(own, CLASS_FOLDERS)
        assert {name: names.label(name) for name in ODD_NAMES} == dict.fromkeys(ODD_NAMES, AI)
        assert (names.label("other"), names.label("human")) == (REAL, None)


@settings(deadline=None, max_examples=10, database=None, derandomize=True)
@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8), min_size=1, max_size=9))
def test_any_names_can_be_pasted(some: list[str]) -> None:
    for own in typed(settings_line(dict.fromkeys(some, AI))):
        assert all(ClassNames(own, {}).label(name) == AI for name in some)


def test_advice_never_guesses() -> None:
    three = which_is_which(["a", "b", "c"], [REAL, AI])
    assert three.startswith("Say which is which. If a alone is real, add 'data.classes={a: real, b: ai, c: ai}'")
    assert which_is_which(["a"], [REAL, AI]).startswith("If a is AI-generated, add")
    assert which_is_which(["a", "b", "c"], [REAL]).startswith("If a, b and c are real, add")


def test_counts_are_listed_and_cut() -> None:
    assert counted(Counter({"cats": 2, "dogs": 1}), "file") == "cats (2 files), dogs (1 file)"
    assert counted(Counter({str(number): 1 for number in range(20)}), "row").endswith("11 (1 row) and 8 more")
