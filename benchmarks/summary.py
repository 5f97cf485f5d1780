"""The README's table of speed, from the stored results of `make bench`.

python benchmarks/summary.py      rewrites the table
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
START, END = "<!-- speed -->", "<!-- end of speed -->"
CASES = {"small": "small 3D network", "vnet": "V-Net, 4 + 4 patches of 112 x 112 x 80"}


def stored(name: str) -> dict[str, object] | None:
    """A result file, None where that benchmark has not run."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def rows() -> Iterator[tuple[str, str, float, str]]:
    """What was measured, against what, the ratio, and the goal."""
    for kind in ("cpu", "cuda"):
        if steps := stored(f"training_step-{kind}"):
            for case, methods in steps["cases"].items():
                for method, found in methods.items():
                    what = f"update of {method.replace('_', ' ')}, {CASES[case]}, {kind.upper()}"
                    yield what, "the same written plainly", found["ratio"], f"{steps['goal']:g}"
        if scoring := stored(f"scoring-{kind}"):
            against = {"prediction": "one window at a time", "metrics": "MedPy"}
            for case, found in scoring["cases"].items():
                goal = scoring["goals"][case].get(kind, "-")
                yield f"{case} of a scan, {kind.upper()}", against[case], found["ratio"], f"{goal}"
    if filters := stored("tree_filter"):
        for image, found in filters["images"].items():
            goal = found["goals"]["scikit-image over ours"]
            ratio = found["ratios"]["scikit-image over ours"]["median"]
            yield f"tree filter, {image}", "scikit-image's trees", ratio, f"{goal:g}"


def table() -> str:
    """The table in Markdown; how many times longer the other takes."""
    lines = ["| ours | against | times faster | goal |", "|---|---|---|---|"]
    lines += [f"| {a} | {b} | {ratio:.2f} | {goal} |" for a, b, ratio, goal in rows()]
    return "\n".join(lines)


def main() -> None:
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{START}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
