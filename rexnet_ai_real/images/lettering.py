"""Words drawn into images in Pillow's own font, shortened or broken into lines to fit."""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def font(size: int) -> Font:
    """Pillow's own font, so that none needs to be installed."""
    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """The text in the letters that the font has, those of ASCII: accents are dropped, other scripts become "?".

    Line breaks and other invisible characters become "?" too.
    """
    bare = [letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)]
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in bare)


def fitted(text: str, letters: Font, width: float) -> str:
    """The text on one line; dots replace its middle where it is too wide."""
    return _longest(plain(text), letters, width, lambda t, n: f"{t[: (n + 1) // 2]}...{t[len(t) - n // 2 :]}")


def wrapped(text: str, letters: Font, width: float, lines: int = 4) -> list[str]:
    """The text broken between words into at most so many lines; dots at the end where it does not fit."""
    done: list[str] = []
    line = ""
    for word in plain(text).split():
        longer = f"{line} {word}".lstrip()
        if line and letters.getlength(longer) > width:
            done.append(line)
            longer = word
        line = longer
    done.append(line)
    if len(done) > lines:
        done = [*done[: lines - 1], " ".join(done[lines - 1 :])]
    return [_longest(line, letters, width, lambda t, n: f"{t[:n]}...") for line in done if line]


def _longest(text: str, letters: Font, width: float, cut: Callable[[str, int], str]) -> str:
    text = text if len(text) < 1000 else cut(text, 1000)  # measuring takes longer than any image is wide
    if letters.getlength(text) <= width:
        return text
    kept = bisect_right(range(len(text)), width, lo=1, key=lambda n: letters.getlength(cut(text, n)))
    return cut(text, kept - 1)
