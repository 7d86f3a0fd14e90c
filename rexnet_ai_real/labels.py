"""The classes, their numbers and their words. AI-generated is the positive class everywhere: F1, AUROC, heat map."""

from typing import Final, Literal

Label = Literal["real", "ai"]

LABELS: Final[tuple[Label, Label]] = ("real", "ai")
REAL: Final = 0
AI: Final = 1

UNSURE: Final = "unsure"
OUT_OF_SCOPE: Final = "out of scope"
ABSTENTIONS: Final = (UNSURE, OUT_OF_SCOPE)
"""Answers that say neither; each has its reason."""

WORDS: Final = {"real": "real", "ai": "AI-generated", UNSURE: UNSURE, OUT_OF_SCOPE: OUT_OF_SCOPE}
"""Each answer as sentences write it."""
SHORT_WORDS: Final = WORDS | {"ai": "AI"}
"""The same where room is scarce: tables and figures."""
TITLES: Final = {label: word[0].upper() + word[1:] for label, word in WORDS.items()}
"""The same at the beginning of a line."""
IMAGE_OF_CLASS: Final = ("a real image", "an AI-generated image")
"""What an image of each class is, by its number."""


def percent(probability: float) -> str:
    """P(AI-generated) as every output shows it: "39 % AI". No answer is certain: the ends are "< 1 %" and "> 99 %"."""
    if probability < 0.01:
        return "< 1 % AI"
    return "> 99 % AI" if probability > 0.99 else f"{100 * probability:.0f} % AI"
