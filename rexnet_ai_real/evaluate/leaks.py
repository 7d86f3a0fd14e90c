"""Near-duplicates between the parts of a split or between collections: test images that were in training too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from rexnet_ai_real.data.manifest import near_groups

_PARTS: Final = ("train", "val", "test")
_SHOWN: Final = 3  # pairs that the finding names


@dataclass(frozen=True, slots=True)
class Leak:
    """The same image, or nearly, in two parts. `distance`: differing bits of the 64-bit difference hashes."""

    first_part: str
    first_path: str
    second_part: str
    second_path: str
    distance: int
    same_bytes: bool
    same_label: bool


@dataclass(frozen=True, slots=True)
class LeakAudit:
    """What `find_leaks` found. `sizes`: images of each part; `leaks`: sorted, identical files first."""

    sizes: dict[str, int]
    leaks: tuple[Leak, ...]
    distance: int | None

    def affected(self, part: str) -> frozenset[str]:
        """Paths of a part that are in another part too."""
        first = {leak.first_path for leak in self.leaks if leak.first_part == part}
        return frozenset(first | {leak.second_path for leak in self.leaks if leak.second_part == part})

    @property
    def finding(self) -> str:
        """In plain words."""
        parts = ", ".join(f"{name} ({size})" for name, size in self.sizes.items())
        if not self.leaks:
            nearly = (
                "" if self.distance is None else f", nor a near-duplicate of it (hashes within {self.distance} bits),"
            )
            return f"No image{nearly} is in two of {parts}."
        counts = ", ".join(f"{len(self.affected(name))} in {name}" for name in self.sizes if self.affected(name))
        shown = "; ".join(
            f"{leak.first_part}:{leak.first_path} = {leak.second_part}:{leak.second_path}"
            for leak in self.leaks[:_SHOWN]
        )
        more = f" and {len(self.leaks) - _SHOWN} more" if len(self.leaks) > _SHOWN else ""
        same = sum(leak.same_bytes for leak in self.leaks)
        other = sum(not leak.same_label for leak in self.leaks)
        return (
            f"Parts share images: {len(self.leaks)} pairs ({same} identical files, {other} under different labels) "
            f"between {parts}, which concern {counts}: {shown}{more}."
        )


def parts_of(manifest: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The usable images of a manifest by split: train, val, test, those that exist."""
    used = manifest[manifest["problem"] == ""]
    parts = {name: used[used["split"] == name] for name in _PARTS}
    return {name: rows for name, rows in parts.items() if len(rows)}


def find_leaks(parts: Mapping[str, pd.DataFrame], *, distance: int | None = 4) -> LeakAudit:
    """Compare every part with every other, by the images' hashes and not by the groups that made the split.

    Args:
        parts: manifest rows (path, label, sha256, dhash, thumbnail) under the name of the part, see `parts_of`; add
            another collection under its name to compare it with the images learned.
        distance: most differing bits, of 64, between near-duplicates; 0 to 8. None: identical files only.
    """
    sizes = {name: len(rows) for name, rows in parts.items()}
    columns = ["path", "label", "sha256", "dhash", "thumbnail"]
    listed = [rows[columns].assign(part=number) for number, rows in enumerate(parts.values())]
    images = pd.concat(listed, ignore_index=True) if listed else pd.DataFrame(columns=[*columns, "part"])
    images = images.assign(group=near_groups(images, distance), hash=[int(value, 16) for value in images["dhash"]])
    met = images.merge(images, on="group", suffixes=("_a", "_b"))
    met = met[met["part_a"] < met["part_b"]]
    met = met.assign(distance=[(a ^ b).bit_count() for a, b in zip(met["hash_a"], met["hash_b"], strict=True)])
    met = met[met["distance"] <= (64 if distance is None else distance)]
    names = list(parts)
    leaks = [
        Leak(
            first_part=names[row.part_a],
            first_path=row.path_a,
            second_part=names[row.part_b],
            second_path=row.path_b,
            distance=int(row.distance),
            same_bytes=row.sha256_a == row.sha256_b,
            same_label=row.label_a == row.label_b,
        )
        for row in met.itertuples(index=False)
    ]
    leaks.sort(key=lambda leak: (not leak.same_bytes, leak.distance, leak.first_path, leak.second_path))
    return LeakAudit(sizes, tuple(leaks), distance)
