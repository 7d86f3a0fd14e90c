"""How many answers of each kind the rows hold, in one sentence."""

from collections import Counter

from rexnet_ai_real.labels import ABSTENTIONS, WORDS
from rexnet_ai_real.predict.row import Row


class Summary:
    """Counts rows as they come."""

    def __init__(self) -> None:
        """No rows yet."""
        self.labels: Counter[str] = Counter()
        """By label; rows without one do not count."""
        self.leanings: Counter[tuple[str, str]] = Counter()
        """By label and leaning; of labels that say neither."""
        self.unpromised = 0
        """Answers that are given although nothing is promised of them."""
        self.failed = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        label = row["label"]
        self.failed += bool(row["error"])
        self.labels[label] += bool(label)
        self.leanings[label, row["leaning"]] += label in ABSTENTIONS
        self.unpromised += bool(row["reason"]) and label not in ABSTENTIONS

    @property
    def answered(self) -> int:
        """Rows with an answer, "unsure" and "out of scope" among them."""
        return self.labels.total()

    @property
    def sentence(self) -> str:
        """For people: "3 images: 1 AI-generated, 2 unsure (1 leans AI-generated, 1 leans real)."."""
        parts = [f"{self.labels[label]:,} {WORDS[label]}" for label in ("ai", "real") if self.labels[label]]
        parts += [self._without_answer(label) for label in ABSTENTIONS if self.labels[label]]
        plural = "image" if self.answered == 1 else "images"
        sentence = f"{self.answered:,} {plural}: {', '.join(parts) or 'none'}."
        if self.unpromised:
            sentence += f" Of these answers {self.unpromised:,} are not sure enough to promise."
        return sentence

    def _without_answer(self, label: str) -> str:
        counts = {leaning: self.leanings[label, leaning] for leaning in ("ai", "real")}
        leanings = [
            f"{count:,} {'leans' if count == 1 else 'lean'} {WORDS[leaning]}"
            for leaning, count in counts.items()
            if count
        ]
        return f"{self.labels[label]:,} {WORDS[label]}" + (f" ({', '.join(leanings)})" if leanings else "")
