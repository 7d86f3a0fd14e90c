"""The rules of `provenance` as plain JSON, from which the page's JavaScript reads the same facts in a file.

Names, patterns and limits stand in Python alone: the page gets them from here.
"""

import re
from typing import Any, Final

from rexnet_ai_real.images.decode import BRANDS, HEAD_BYTES, SIGNATURES
from rexnet_ai_real.provenance import block, containers, evidence, exif, generators, iptc, reader, xmp

_WORD: Final = r"\p{L}\p{N}_"
# Python's classes hold all of Unicode, JavaScript's ASCII alone. Compared for every character.
_OUTSIDE: Final = {
    r"\A": "^",
    r"\Z": "$",
    r"\b": rf"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))",
    r"\d": r"\p{Nd}",
    r"\w": f"[{_WORD}]",
    r"\W": f"[^{_WORD}]",
}
_INSIDE: Final = {r"\d": r"\p{Nd}", r"\w": _WORD}
_TOKENS: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|[a-zA-Z]")
# What Python takes for these letters where case plays no part. JavaScript's own flag differs: to it, the Turkish ones
# are no i, and the combining iota is a letter.
_OTHER_CASES: Final = {"i": "\u0130\u0131", "k": "\u212a", "s": "\u017f"}


def provenance_table() -> dict[str, Any]:
    """Everything that rexnet_ai_real/page/site/js/provenance/ has to know and that is no structure of a file format."""
    return {
        "head_bytes": HEAD_BYTES,
        "signatures": [[signature.hex(), kind] for signature, kind in SIGNATURES],
        "brands": {brand.decode("ascii"): kind for brand, kind in BRANDS.items()},
        "limits": {
            "block_bytes": block.MAX_BLOCK_BYTES,
            "parts": block.MAX_PARTS,
            "gif_bytes": containers.GIF_BYTES,
            "damaged_texts": containers.MAX_DAMAGED_TEXTS,
            "blocks": reader.MAX_BLOCKS,
            "total_bytes": reader.MAX_TOTAL_BYTES,
            "fields": reader.MAX_FIELDS,
            "evidence": reader.MAX_EVIDENCE,
            "entries": generators.MAX_ENTRIES,
            "prose": generators.LONGEST_PROSE,
        },
        "raw_profiles": containers.RAW_PROFILES,
        "exif": [[tag, field] for tag, field in exif.TEXTS.items()],
        "iptc": [[number, field] for number, field in iptc.FIELDS.items()],
        "source_types": iptc.SOURCE_TYPES,
        "source_types_by_letters": iptc.BY_LETTERS,
        "xmp": xmp.IN_LOWER_CASE,
        "xmp_label": xmp.LABEL,
        "software": sorted(reader.SOFTWARE),
        "credit": sorted(reader.CREDIT),
        "ai_fields": reader.AI_FIELDS,
        "canva": reader.CANVA,
        "programs": [
            {"name": name, "says": says, "pattern": javascript(pattern)}
            for says, programs in generators.BY_NAME
            for name, pattern in programs
        ],
        "speaks_of_ai": javascript(generators.SPEAKS_OF_AI),
        "prefix": javascript(generators.PREFIX),
        "forms": [_form(form) for form in generators.FORMS],
        "setting_enough": generators.SETTING_ENOUGH,
        "aigc": {
            "name": generators.AIGC.lower(),
            "keys": sorted(generators.AIGC_KEYS),
            "labels": {label: list(meaning) for label, meaning in generators.AIGC_LABELS.items()},
            "other": generators.AIGC_OTHER,
        },
        "verdicts": [list(verdict) for verdict in evidence.VERDICTS],
        "caveat": evidence.CAVEAT,
    }


def javascript(pattern: re.Pattern[str]) -> str:
    r"""Source of the JavaScript expression, with flag "u" alone, that finds the same as a Python one of these tables.

    Translates \A, \Z, \b, \d, \w, \W and the flag for any case; groups, lookarounds, classes and counts are written
    alike in both languages.

    Raises:
        ValueError: the pattern uses what is not translated.
    """
    if pattern.flags & ~(re.IGNORECASE | re.UNICODE):
        raise ValueError(f"{pattern.pattern!r} has flags that are not translated: use re.IGNORECASE or none")
    in_any_case = bool(pattern.flags & re.IGNORECASE)

    def translated(token: re.Match[str]) -> str:
        text = token[0]
        if text[0] == "\\":
            return _looked_up(_OUTSIDE, text)
        if text[0] != "[":
            return f"[{text.lower()}{text.upper()}{_OTHER_CASES.get(text.lower(), '')}]" if in_any_case else text
        if in_any_case and re.search(r"(?<!\\)[a-zA-Z]", text):
            raise ValueError(f"{text} is not translated: letters of any case stand outside of classes")
        return re.sub(r"\\.", lambda escape: _looked_up(_INSIDE, escape[0]), text)

    return _TOKENS.sub(translated, pattern.pattern)


def _looked_up(escapes: dict[str, str], escape: str) -> str:
    if escape[1].isalpha() and escape not in escapes:
        raise ValueError(f"{escape} is not translated to JavaScript")
    return escapes.get(escape, escape)


def _form(form: generators.Form) -> dict[str, Any]:
    return {
        "program": form.program,
        "names": sorted(form.names),
        "texts": sorted(form.texts),
        "keys": [sorted(keys) for keys in form.keys],
        "under": form.under,
        "line": form.line and javascript(form.line),
        "lines_of": sorted(form.lines_of),
        "settings": form.settings and javascript(form.settings),
    }
