"""How many answers of each kind the rows hold, in one sentence."""

from collections import Counter

from rexnet_ai_real.labels import WORDS
from rexnet_ai_real.predict.row import Row


class Summary:
    """Counts rows as they come."""

    def __init__(self) -> None:
        """No rows yet."""
        self.labels: Counter[str] = Counter()
        """By label; rows without one do not count."""
        self.leanings: Counter[str] = Counter()
        """Of the unsure ones."""
        self.unpromised = 0
        """Answers that are given although nothing is promised of them."""
        self.failed = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        label = row["label"]
        self.failed += bool(row["error"])
        self.labels[label] += bool(label)
        self.leanings[row["leaning"]] += label == "unsure"
        self.unpromised += bool(row["reason"]) and label != "unsure"

    @property
    def answered(self) -> int:
        """Rows with an answer, "unsure" among them."""
        return self.labels.total()

    @property
    def sentence(self) -> str:
        """For people: "3 images: 1 AI-generated, 2 unsure (1 leans AI-generated, 1 leans real)."."""
        parts = [f"{self.labels[label]:,} {WORDS[label]}" for label in ("ai", "real") if self.labels[label]]
        if self.labels["unsure"]:
            leaning = [
                f"{self.leanings[label]:,} {'leans' if self.leanings[label] == 1 else 'lean'} {WORDS[label]}"
                for label in ("ai", "real")
                if self.leanings[label]
            ]
            parts.append(f"{self.labels['unsure']:,} unsure" + (f" ({', '.join(leaning)})" if leaning else ""))
        plural = "image" if self.answered == 1 else "images"
        sentence = f"{self.answered:,} {plural}: {', '.join(parts) or 'none'}."
        if self.unpromised:
            sentence += f" Of these answers {self.unpromised:,} are not sure enough to promise."
        return sentence
