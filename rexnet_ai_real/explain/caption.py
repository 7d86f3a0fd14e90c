"""The caption under an overlay: the verdict, the meaning and scale of its heat, what the metadata say."""

from PIL import Image, ImageDraw

from rexnet_ai_real.detector.explanation import Explanation, Scale
from rexnet_ai_real.images.contact_sheet import FAINT, INK, LABEL_COLOURS, PAPER
from rexnet_ai_real.images.heat import colour_bar
from rexnet_ai_real.images.lettering import fitted, font, wrapped
from rexnet_ai_real.labels import ABSTENTIONS, IMAGE_OF_CLASS, OUT_OF_SCOPE, TITLES, WORDS, percent


def caption(width: int, letter: int, explanation: Explanation, scale: Scale, notes: list[str]) -> Image.Image:
    """Draw the caption.

    Args:
        width: in pixels.
        letter: height of the letters in pixels.
        explanation: of an image that did not fail.
        scale: of its heat.
        notes: further lines.
    """
    title, letters = font(round(1.4 * letter)), font(letter)
    inner = min(width - 2 * letter, 60 * letter)  # long lines are hard to read, however wide the image
    step, bar = round(1.35 * letter), round(2.6 * letter)
    top = scale.top_of(explanation) if explanation.points_somewhere else 0.0
    paragraphs = [scale.note if top else "", *notes, f"Metadata: {explanation.provenance}"]
    name = fitted(explanation.verdict.path, letters, inner)
    said = [*cautions(explanation), about_heat(explanation, scale)]
    above = [name, *(line for paragraph in said for line in wrapped(paragraph, letters, inner))]
    below = [line for paragraph in paragraphs for line in wrapped(paragraph, letters, inner)]

    height = 4 * letter + step * (len(above) + len(below)) + (bar if top else 0)
    strip = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(strip)
    draw.rectangle((0, 0, letter // 2, height), fill=LABEL_COLOURS[_label(explanation)])
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
    verdict = explanation.verdict
    assert verdict.probability is not None
    leaning = f", leans {WORDS[verdict.leaning]}" if verdict.label in ABSTENTIONS and verdict.leaning else ""
    return f"{TITLES[_label(explanation)]}{leaning}, {percent(verdict.probability)}"


def cautions(explanation: Explanation) -> list[str]:
    """Why the verdict is no more certain, a sentence each."""
    verdict = explanation.verdict
    said = []
    if verdict.reason and verdict.label == OUT_OF_SCOPE:
        said.append(f"Not made to judge this: {verdict.reason}")
    elif verdict.reason:
        said.append(f"Not sure enough to promise: {verdict.reason}")
    if verdict.remark and verdict.remark != verdict.reason:
        said.append(verdict.remark[0].upper() + verdict.remark[1:])
    return said


def about_heat(explanation: Explanation, scale: Scale) -> str:
    """What the map is, or why there is none."""
    assert explanation.target is not None
    speaks = f"what speaks for {IMAGE_OF_CLASS[explanation.target]}"
    if explanation.greatest <= 0:
        return f"No heat: nothing in this image is {speaks}"
    if not explanation.points_somewhere:
        return (
            f"No heat is painted: {speaks} is spread too evenly to point anywhere (the strongest tenth of the image "
            f"holds {100 * explanation.strongest_tenth:.0f} % of it)"
        )
    return (
        f"Heat: {speaks}, in the eyes of this detector ({scale.unit}). It shows what moved the answer, not which part "
        "is fake, and not whether the answer is right"
    )


def draw_bar(image: Image.Image, corner: tuple[int, int], width: int, letter: int, top: float | None) -> None:
    """The colours of heat as they look over middle grey, `letter` high, over numbers from 0 to `top` if it is known."""
    image.paste(Image.fromarray(colour_bar(width, letter)), corner)
    marks = ["none", "", "its greatest"] if top is None else [f"{share * top:.2g}" for share in (0, 0.5, 1)]
    for mark, share, anchor in zip(marks, (0, 0.5, 1), ("la", "ma", "ra"), strict=True):
        at = (corner[0] + share * width, corner[1] + 1.15 * letter)
        ImageDraw.Draw(image).text(at, mark, font=font(letter), fill=FAINT, anchor=anchor)


def _label(explanation: Explanation) -> str:
    return explanation.verdict.label or "unsure"
