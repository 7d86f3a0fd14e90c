"""The two classes and their numbers. AI-generated is the positive class everywhere: F1, AUROC, threshold, heat map."""

from typing import Final, Literal

Label = Literal["real", "ai"]

LABELS: Final[tuple[Label, Label]] = ("real", "ai")
REAL: Final = 0
AI: Final = 1
