"""The strip under an overlay: the verdict, what the heat is and on which scale, what the metadata say."""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from rexnet_ai_real.explain.colours import painted
from rexnet_ai_real.explain.explanation import CLASSES, Explanation, Scale
from rexnet_ai_real.images.lettering import fitted, font, wrapped

PAPER: Final = "#ffffff"
INK: Final = "#1a1a1a"
FAINT: Final = "#6b6b6b"
ANSWERS: Final = {"ai": "AI-generated", "real": "Real", "unsure": "Unsure"}
ANSWER_COLOURS: Final = {"ai": "#d55e00", "real": "#0072b2", "unsure": "#8c8c8c"}
"""Told apart with every colour vision (Okabe and Ito 2008)."""

_BAR_GROUND: Final = 128
"""The grey under a colour bar, where in an image its own grey is."""


def caption(width: int, letter: int, explanation: Explanation, scale: Scale, notes: list[str]) -> Image.Image:
    """Draw the strip.

    Args:
        width: in pixels.
        letter: height of the letters in pixels.
        explanation: of an image that did not fail.
        scale: of its heat.
        notes: further lines.
    """
    title, letters = font(round(1.4 * letter)), font(letter)
    inner = min(width - 2 * letter, 60 * letter)  # no longer than an eye follows, however wide the image
    step, bar = round(1.35 * letter), round(2.6 * letter)
    top = scale.top_of(explanation)
    paragraphs = [scale.note if top else "", *notes, f"Metadata: {explanation.provenance}"]
    name = fitted(explanation.verdict.path, letters, inner)
    above = [name, *wrapped(_about_heat(explanation, scale), letters, inner)]
    below = [line for paragraph in paragraphs for line in wrapped(paragraph, letters, inner)]

    height = 4 * letter + step * (len(above) + len(below)) + (bar if top else 0)
    strip = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(strip)
    draw.rectangle((0, 0, letter // 2, height), fill=ANSWER_COLOURS[_label(explanation)])
    draw.text((letter, letter), fitted(answer(explanation), title, inner), font=title, fill=INK)
    y = 3 * letter
    for number, line in enumerate(above):
        draw.text((letter, y), line, font=letters, fill=INK if number else FAINT)
        y += step
    if top:
        draw_bar(strip, (letter, y + letter // 4), min(inner, 24 * letter), letter, top)
        y += bar
    for line in below:
        draw.text((letter, y), line, font=letters, fill=FAINT)
        y += step
    return strip


def answer(explanation: Explanation) -> str:
    """The verdict in words, of an image that did not fail."""
    probability = explanation.verdict.probability
    assert probability is not None
    # Nothing is certain: 0.9996 must not read 1.000.
    shown = "> 0.999" if probability > 0.9995 else "< 0.001" if probability < 0.0005 else f"{probability:.3f}"
    return f"{ANSWERS[_label(explanation)]}, P(AI) {shown}"


def draw_bar(image: Image.Image, corner: tuple[int, int], width: int, letter: int, top: float | None) -> None:
    """The colours of heat as they look over middle grey, `letter` high, over numbers from 0 to `top` if it is known."""
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (letter, 1))
    image.paste(Image.fromarray(painted(np.full_like(ramp, _BAR_GROUND), ramp)), corner)
    marks = ["none", "", "its greatest"] if top is None else [f"{share * top:.2g}" for share in (0, 0.5, 1)]
    for mark, share, anchor in zip(marks, (0, 0.5, 1), ("la", "ma", "ra"), strict=True):
        at = (corner[0] + share * width, corner[1] + 1.15 * letter)
        ImageDraw.Draw(image).text(at, mark, font=font(letter), fill=FAINT, anchor=anchor)


def _about_heat(explanation: Explanation, scale: Scale) -> str:
    assert explanation.target is not None
    speaks = f"Heat: what speaks for {CLASSES[explanation.target]}"
    return f"{speaks} ({scale.unit})" if explanation.greatest > 0 else f"{speaks}: nothing in this image"


def _label(explanation: Explanation) -> str:
    return explanation.verdict.label or "unsure"
