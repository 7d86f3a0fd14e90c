"""How generators and editors are recognised in metadata: by the form of their parameters, and by name.

One table of forms serves every container: the same parameters stand in a PNG's text, in an EXIF or XMP comment, in the
comment of a JPEG or GIF, or as a JSON object within another.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from rexnet_ai_real.provenance.evidence import Says

# Names that mean nothing else: "Firefly" alone is a beetle, "imagen" is Spanish for image.
_GENERATORS: Final = {
    "Stable Diffusion": r"stable[ -]?diffusion|automatic1111|sd[ .]next|easy diffusion|dream ?studio|stability[ .]ai",
    "ComfyUI": r"comfyui",
    "InvokeAI": r"invokeai",
    "SwarmUI": r"(?:stable)?swarmui",
    "Fooocus": r"fooocus",
    "Draw Things": r"draw things",
    "NovelAI": r"novelai",
    "Midjourney": r"midjourney|niji[ ·-]?journey",
    "OpenAI": r"dall[-·. ]?e(?: ?[23])?|openai|chatgpt|gpt-4o|gpt-image(?:-\d)?",
    "Adobe Firefly": r"adobe firefly",
    "Google": r"google ai|google imagen|google gemini|nano banana",
    "Microsoft": r"bing image creator|microsoft designer|image creator from designer",
    "Meta AI": r"meta ai|imagined with ai",
    "FLUX": r"black forest labs|flux[ .]?1|flux[ .]?2",
    "Leonardo.Ai": r"leonardo[ .]ai",
    "Ideogram": r"ideogram[ .]ai",
    "Apple": r"(?:apple )?image playground",
    "Recraft": r"recraft(?:[ .]ai)?",
    "Grok": r"grok imagine|xai grok",
    "Craiyon": r"craiyon",
    "NightCafe": r"nightcafe",
    "Artbreeder": r"artbreeder",
    "Deep Dream Generator": r"deep ?dream ?generator",
    "Tensor.Art": r"tensor[ .]art",
    "Seedream": r"seedream|jimeng|doubao",
    "Qwen": r"qwen[- ]image",
    "Picsart": r"picsart ai",
}
_EDITORS: Final = {
    "Adobe Photoshop": r"photoshop(?! lightroom| camera raw)",
    "Adobe Lightroom": r"lightroom|camera raw",
    "Adobe Illustrator": r"illustrator",
    "Adobe InDesign": r"indesign",
    "GIMP": r"gimp",
    "Canva": r"canva",
    "Affinity": r"affinity (?:photo|designer)",
    "Capture One": r"capture one",
    "darktable": r"darktable",
    "RawTherapee": r"rawtherapee",
    "Paint.NET": r"paint\.net",
    "Pixelmator": r"pixelmator",
    "Snapseed": r"snapseed",
    "Picasa": r"picasa",
    "Krita": r"krita",
    "Inkscape": r"inkscape",
    "CorelDRAW": r"corel(?:draw)?",
    "Luminar": r"luminar",
    "PhotoScape": r"photoscape",
    "ACDSee": r"acdsee",
    "Meitu": r"meitu",
    "ImageMagick": r"imagemagick",
}


def _patterns(programs: dict[str, str]) -> list[tuple[str, re.Pattern[str]]]:
    return [(name, re.compile(rf"(?<![\w-])(?:{rule})(?![\w-])", re.IGNORECASE)) for name, rule in programs.items()]


BY_NAME: Final[tuple[tuple[Says, list[tuple[str, re.Pattern[str]]]], ...]] = (
    ("ai", _patterns(_GENERATORS)),
    ("edited", _patterns(_EDITORS)),
)
LONGEST_PROSE: Final = 1 << 18
"""Most letters of a text that are compared with the forms."""
MAX_ENTRIES: Final = 300
"""Most entries of one JSON text that are looked at, those near its top first."""
SPEAKS_OF_AI: Final = re.compile(
    r"\bAI[- ](?:generated|created|art)\b|\bgenerative AI\b"
    r"|\b(?:generated|created|made) (?:by|with|using) (?:an )?AI\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Form:
    """What one program's parameters look like. Any one of the signs is enough."""

    program: str
    names: frozenset[str] = frozenset()
    """Of texts and of JSON entries, in lower case, that this program alone writes."""
    texts: frozenset[str] = frozenset()
    """Names of texts alone, since they mean too little within JSON."""
    keys: tuple[frozenset[str], ...] = ()
    """Entries that together only its JSON objects hold."""
    under: str = ""
    """The name under which `keys` have to stand, or "" for any."""
    line: re.Pattern[str] | None = None
    """Found in its prose..."""
    lines_of: frozenset[str] = frozenset()
    """... under these names only, or under any name if there are none..."""
    settings: re.Pattern[str] | None = None
    """... and followed by `SETTING_ENOUGH`, or by two others of these settings, whose name is the first group."""

    def fits(self, text: str) -> bool:
        """Whether prose looks like this program's. Its lines may have run together, with the prompt before."""
        if self.line is None or self.settings is None:
            return self.line is not None and self.line.search(text) is not None
        for line in islice(self.line.finditer(text), 20):
            found = {name.lower() for name in self.settings.findall(text[line.end() : line.end() + 500])}
            if SETTING_ENOUGH in found or len(found) > 1:
                return True
        return False


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


_CAPTIONS: Final = _set("description", "imagedescription", "dc:description")
SETTING_ENOUGH: Final = "sampler"

FORMS: Final = (
    Form(
        "Stable Diffusion web UI",
        line=re.compile(r"\bSteps: \d+, "),
        settings=re.compile(
            r"\b(Sampler|(?:Distilled )?CFG scale|Schedule type|Size|Model(?: hash)?|Seed(?=: \d)"
            r"|Denoising strength): ",
            re.IGNORECASE,
        ),
    ),
    Form("ComfyUI", keys=(_set("class_type"), _set("nodes", "links", "last_node_id"))),
    Form("ComfyUI", keys=(_set("nodes"),), under="workflow"),
    Form(
        "InvokeAI",
        names=_set("invokeai_metadata", "invokeai_graph", "invokeai_workflow"),
        texts=_set("sd-metadata", "dream"),
        keys=(_set("positive_prompt", "app_version"),),
    ),
    Form("Fooocus", names=_set("fooocus_scheme"), keys=(_set("base_model", "performance"),)),
    Form("Easy Diffusion", names=_set("use_stable_diffusion_model")),
    Form("SwarmUI", names=_set("sui_image_params")),
    Form("Tensor.Art", texts=_set("generation_data")),
    Form("Draw Things", keys=(_set("c", "model", "sampler", "seed"),)),
    Form(
        "NovelAI",
        keys=tuple(_set("prompt", "steps", "sampler", "seed", own) for own in ("uc", "request_type", "noise_schedule")),
        line=re.compile(r"\ANovelAI generated image\Z"),
        lines_of=_set("title"),
    ),
    Form("Midjourney", line=re.compile(r"\bJob ID: [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")),
    Form(
        "Midjourney",
        line=re.compile(r" --(?:ar \d+:\d+|v \d|niji\b|stylize \d|s \d|chaos \d|style \w)"),
        lines_of=_CAPTIONS,
    ),
)

AIGC: Final = "AIGC"
"""The name under which GB 45438-2025, annex E, puts China's mandatory label, whatever the container."""
AIGC_KEYS: Final = {"Label", "ContentProducer", "ProduceID", "ContentPropagator", "PropagateID"}
AIGC_LABELS: Final[dict[str, tuple[str, Says]]] = {
    "1": ("AI-generated", "ai"),
    "2": ("possibly AI-generated", "unknown"),
    "3": ("suspected to be AI-generated", "unknown"),
}
AIGC_OTHER: Final = "of no meaning in the standard"


PREFIX: Final = re.compile(r"\A(prompt|workflow): ?(?=\{)", re.IGNORECASE)
"""ComfyUI's nodes that save WebP and JPEG put "prompt:{...}" into EXIF fields made for the camera's name."""


def named_program(text: str) -> tuple[str, Says] | None:
    """The program that a short text (a Software field, a credit line) names, generators before editors."""
    line = text[:1000].replace("_", " ")
    for says, patterns in BY_NAME:
        for name, pattern in patterns:
            if pattern.search(line):
                return name, says
    return None


def speaks_of_ai(text: str) -> bool:
    """Whether a caption mentions AI-generated images; it may belong to one, or write about them."""
    return bool(SPEAKS_OF_AI.search(text[:10_000]))


def parameters_of(field: str, text: str) -> str | None:
    """The generator whose parameters a text holds, by their form and by the names that they stand under."""
    for depth, name, part in _parts(field, text):
        for form in FORMS:
            if name in form.names or (depth == 0 and name in form.texts):
                return form.program
            if isinstance(part, dict):
                if form.under in ("", name) and any(keys <= part.keys() for keys in form.keys):
                    return form.program
            elif (not form.lines_of or name in form.lines_of) and form.fits(part):
                return form.program
    return None


def aigc_label(field: str, text: str) -> tuple[str, Says] | None:
    """What China's mandatory label says, in words and as a statement; None for texts that hold none."""
    for _, name, part in _parts(field, text):
        named = AIGC.lower() in re.split(r"\W", name)
        if isinstance(part, dict) and "Label" in part and (named or len(AIGC_KEYS & part.keys()) > 1):
            label = _written(part["Label"])
            meaning, says = AIGC_LABELS.get(label, (AIGC_OTHER, "unknown"))
            producer = _written(part.get("ContentProducer"))
            return f"Label {label} ({meaning})" + (f", ContentProducer {producer}" if producer else ""), says
    return None


def _parts(field: str, text: str) -> Iterator[tuple[int, str, dict[str, Any] | str]]:
    """Depth, name in lower case, and the text or JSON object: the text itself, then what JSON in it holds."""
    prefix = PREFIX.search(text)
    waiting: deque[tuple[int, str, Any]] = deque()
    waiting.append((0, prefix[1].lower(), text[prefix.end() :]) if prefix else (0, field.lower(), text))
    for _ in range(MAX_ENTRIES):
        if not waiting:
            return
        depth, name, part = waiting.popleft()
        if isinstance(part, str) and part.lstrip()[:1] in ("{", "["):
            part = _json(part)
        if isinstance(part, str):
            yield depth, name, part[:LONGEST_PROSE].strip()
        elif isinstance(part, dict):
            yield depth, name, part
            waiting.extend((depth + 1, str(key).lower(), value) for key, value in islice(part.items(), MAX_ENTRIES))
        elif isinstance(part, list):
            waiting.extend((depth + 1, name, value) for value in part[:MAX_ENTRIES])


def _written(value: Any) -> str:
    """A text or whole number of JSON as it was written; nothing for other values, which the standard does not know."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _json(text: str) -> Any:
    """The value; the text itself if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
