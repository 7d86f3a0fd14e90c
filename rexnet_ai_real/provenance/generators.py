"""How generators and editors are recognised in metadata: by the format of their parameters, and by name."""

import json
import re
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


def _pattern(programs: dict[str, str]) -> list[tuple[str, re.Pattern[str]]]:
    return [(name, re.compile(rf"(?<![\w-])(?:{rule})(?![\w-])", re.IGNORECASE)) for name, rule in programs.items()]


_BY_NAME: Final[tuple[tuple[Says, list[tuple[str, re.Pattern[str]]]], ...]] = (
    ("ai", _pattern(_GENERATORS)),
    ("edited", _pattern(_EDITORS)),
)
_LONGEST_PROSE: Final = 1 << 18
_WEB_UI: Final = re.compile(r"(?:^|\n|, )Steps: \d+, .{0,300}?\b(?:Sampler|CFG scale|Seed): ", re.DOTALL)
_JOB: Final = re.compile(r"\bJob ID: [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_MIDJOURNEY_FLAGS: Final = re.compile(r" --(?:ar \d+:\d+|v \d|niji\b|stylize \d|s \d|chaos \d|style \w)")
_SPEAKS_OF_AI: Final = re.compile(
    r"\bAI[- ](?:generated|created|art)\b|\bgenerative AI\b"
    r"|\b(?:generated|created|made) (?:by|with|using) (?:an )?AI\b",
    re.IGNORECASE,
)
# Keywords that one program alone writes.
_OWN_KEYWORDS: Final = {
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "invokeai_workflow": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "dream": "InvokeAI",
    "fooocus_scheme": "Fooocus",
    "use_stable_diffusion_model": "Easy Diffusion",
    "sui_image_params": "SwarmUI",
    "generation_data": "Tensor.Art",
}
_NOVELAI_KEYS: Final = {"prompt", "steps", "sampler", "seed"}


def named_program(text: str) -> tuple[str, Says] | None:
    """The program that a short text (a Software field, a credit line) names, generators before editors."""
    line = text[:1000].replace("_", " ")
    for says, patterns in _BY_NAME:
        for name, pattern in patterns:
            if pattern.search(line):
                return name, says
    return None


def speaks_of_ai(text: str) -> bool:
    """Whether a caption mentions AI-generated images; it may belong to one, or write about them."""
    return bool(_SPEAKS_OF_AI.search(text[:10_000]))


def parameters_of(field: str, text: str) -> str | None:
    """The generator whose parameters a text holds, by their form and by the keyword it stands under.

    The forms: web UI lines ("Steps: 20, Sampler: ..."; also in EXIF and XMP comments), ComfyUI's graphs, the JSON of
    SwarmUI, Fooocus, InvokeAI, NovelAI and Draw Things, and Midjourney's job line.
    """
    keyword = field.lower()
    if keyword in _OWN_KEYWORDS:
        return _OWN_KEYWORDS[keyword]
    # ComfyUI's nodes that save WebP and JPEG put "prompt:{...}" into EXIF fields made for the camera's name.
    prefix, _, rest = (
        text.partition(":") if re.match(r"(?:prompt|workflow): ?\{", text, re.IGNORECASE) else ("", "", "")
    )
    if prefix:
        return _json_parameters(prefix.lower(), _json(rest))
    if text.lstrip()[:1] == "{":
        return _json_parameters(keyword, _json(text))
    text = text[:_LONGEST_PROSE]
    if _WEB_UI.search(text):
        return "Stable Diffusion web UI"
    if keyword == "title" and text.strip() == "NovelAI generated image":
        return "NovelAI"
    if _JOB.search(text) or (keyword in ("description", "imagedescription") and _MIDJOURNEY_FLAGS.search(text)):
        return "Midjourney"
    return None


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json_parameters(keyword: str, found: dict[str, Any]) -> str | None:
    if any(isinstance(node, dict) and "class_type" in node for node in found.values()):
        return "ComfyUI"
    if keyword == "workflow" and isinstance(found.get("nodes"), list):
        return "ComfyUI"
    if "sui_image_params" in found:
        return "SwarmUI"
    if "positive_prompt" in found and "app_version" in found:
        return "InvokeAI"
    if "base_model" in found and "performance" in found:
        return "Fooocus"
    if {"c", "model", "sampler", "seed"} <= found.keys():
        return "Draw Things"
    if found.keys() >= _NOVELAI_KEYS and ("uc" in found or "request_type" in found or "noise_schedule" in found):
        return "NovelAI"
    return None
