"""How often is a label map found that is flipped, or has two axes exchanged, and how often is a
right one doubted?

    python trials/06_mirrored_label_maps.py

Every label map of the public sets that are on the disk is given to `better_fit` as it is, and
spoilt: flipped along each axis, and with two axes exchanged where they have the same length.
Writes reports/validation/06_mirrored_label_maps.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ssl_lib.data.cohort import known_label
from ssl_lib.data.label_fit import AXES, better_fit
from ssl_lib.data.load import load_cohort
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError

FILE = Path("reports/validation/06_mirrored_label_maps.json")
SETS = ("hippocampus", "la2018", "acdc")


def spoilt(label: np.ndarray) -> dict[str, np.ndarray]:
    """The label map flipped along each axis, and with two axes exchanged, by what was done."""
    made = {f"flipped along axis {axis + 1}": np.flip(label, axis) for axis in range(3)}
    for first, second in ((0, 1), (0, 2), (1, 2)):
        if label.shape[first] == label.shape[second]:
            name = f"axes {first + 1} and {second + 1} exchanged"
            made[name] = np.swapaxes(label, first, second)
    return {name: np.ascontiguousarray(one) for name, one in made.items()}


def measured(dataset: str) -> dict[str, object]:
    """How many label maps of a set are doubted as they are, and found when spoilt."""
    cohort = load_cohort(dataset, 4)
    doubted, count = 0, 0
    found: dict[str, list[int]] = {}
    for case in cohort.cases:
        label = known_label(cohort, case)
        if label is None or not label.any() or label.ndim != 3:
            continue
        limits = np.quantile(case.image, (0.01, 0.99))
        count += 1
        doubted += better_fit(case.image, label, limits) is not None
        for name, other in spoilt(label).items():
            pair = found.setdefault(name, [0, 0])
            pair[0] += better_fit(case.image, other, limits) is not None
            pair[1] += 1
    return {"label_maps": count, "doubted": doubted, "found": found}


def main() -> int:
    """Measures every set that is there; returns 0, or 2 if none is."""
    sets = {}
    for name in SETS:
        try:
            sets[name] = measured(name)
        except InputError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            print(name, sets[name])
    if not sets:
        return 2
    content = {"axes": list(AXES), "sets": sets}
    write_atomically(FILE, json.dumps(content, indent=1).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
