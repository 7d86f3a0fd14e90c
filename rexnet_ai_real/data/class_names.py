"""Which class a folder's name or a table's label stands for, and the settings that say so for further names."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rexnet_ai_real.data.listed import SHOWN
from rexnet_ai_real.images.layouts import plain_name
from rexnet_ai_real.labels import AI, LABELS, REAL

_ESCAPED: Final = "()[]{}:=,"
"""Characters that Hydra wants a backslash before, in the name of a folder."""
_READ_AS_VALUES: Final = re.compile(r"(?:[\d_.]*e?[\d_.]*|true|false|null|nan|inf)", re.IGNORECASE)
"""Names that Hydra reads as something else than text: 1_000 as 1000, for instance."""


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The names known: the user's own ones, else the built-in ones."""

    own: Mapping[str, str | None]
    """Name to "ai", "real" or None, as in `data.classes`. None takes a built-in name's meaning away. Upper and lower
    case are the same; * stands for any characters, ? for any one."""
    built_in: Mapping[str, int]
    """Name, as `plain_name` writes it, to class."""

    def is_own(self, name: str) -> bool:
        """Whether the user has said what this name means."""
        return self._own_match(name) is not None

    def label(self, name: str) -> int | None:
        """REAL, AI, or None for a name that stands for no class."""
        match = self._own_match(name)
        if match is None:
            return self.built_in.get(plain_name(name))
        word = self.own[match]
        return None if word is None else LABELS.index(word)

    def _own_match(self, name: str) -> str | None:
        folded = name.casefold()
        exact = next((own for own in self.own if own.casefold() == folded), None)
        return exact or next((own for own in self.own if _fits(own, name)), None)


def _fits(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern with * and ?, in upper or lower case."""
    parts = ({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch("".join(parts), name, re.DOTALL | re.IGNORECASE) is not None


def settings_line(classes: Mapping[str, int | None] | Mapping[str, None]) -> str:
    """What to type so that names mean what `classes` says, ready for a shell: for training, and for `data`."""
    words = {_pattern(name): "null" if label is None else LABELS[label] for name, label in classes.items()}
    hydra = ", ".join(f"{_escaped(name)}: {word}" for name, word in words.items())
    pairs = " ".join(shlex.quote(f"{name}={word}") for name, word in words.items())
    return f"{shlex.quote(f'data.classes={{{hydra}}}')} (with `python -m rexnet_ai_real.data`: --classes {pairs})"


def which_is_which(names: list[str], missing: list[int]) -> str:
    """What to type for names whose class is not known, without guessing: every line stands under its condition.

    Args:
        names: of folders or labels, at least one.
        missing: the classes that no known name stands for.
    """
    if missing in ([REAL], [AI]):
        kind = "AI-generated" if missing == [AI] else "real"
        line = settings_line(dict.fromkeys(names, missing[0]))
        return f"If {_listed(names)} {'is' if len(names) == 1 else 'are'} {kind}, add {line}"
    if len(names) == 1:
        return f"If {names[0]} is AI-generated, add {settings_line({names[0]: AI})}; images of both classes are needed"
    if len(names) == 2:
        lines = [settings_line({real: REAL, other: AI}) for real, other in (names, names[::-1])]
        return f"If {names[0]} is real, add {lines[0]}. If {names[1]} is real, add {lines[1]}"
    line = settings_line({names[0]: REAL, **dict.fromkeys(names[1:], AI)})
    return f"Say which is which. If {names[0]} alone is real, add {line}"


def counted(counts: Counter[str], what: str) -> str:
    """Names with their counts, the largest first: "cats (2 files), dogs (1 file) and 3 more"."""
    shown = ", ".join(
        f"{name} ({count:,} {what}{'' if count == 1 else 's'})" for name, count in counts.most_common(SHOWN)
    )
    return shown + (f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else "")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _pattern(name: str) -> str:
    """The name itself, with ? in place of what neither Hydra nor every terminal takes."""
    name = re.sub(r"[^\w\-./+@%| ()\[\]{}:=,]|\\|[^\x00-\x7f]", "?", name)
    name = re.sub(r"^[ -]| $|(?<= ) ", "?", name)
    readable = name.isdecimal() and str(int(name)) == name
    return name if readable or not _READ_AS_VALUES.fullmatch(name) else f"?{name[1:]}"


def _escaped(name: str) -> str:
    return "".join(f"\\{char}" if char in _ESCAPED else char for char in name)
