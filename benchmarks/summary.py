"""The tables of speed in `docs/speed.md`, from the stored results of `make bench`.

python benchmarks/summary.py      rewrites the tables
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {"mean_teacher": "mean teacher", **{x: x.upper() for x in ("bcp", "aau", "umct", "dsaif")}}
CASES = {
    "small": "small 3D network",
    "vnet": "V-Net, 4 + 4 patches of 112 x 112 x 80",
    "unet": "U-Net, 12 + 12 slices of 256 x 256",
}


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
                    what = f"update of {NAMES.get(method, method)}, {CASES[case]}, {kind.upper()}"
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


def waiting() -> str:
    """How long each whole notebook takes, in Markdown; empty where that was not measured."""
    if not (found := stored("notebooks")):
        return ""
    lines = [
        "| notebook | data | seconds | of it training | memory (GiB) |",
        "|---|---|---|---|---|",
    ]
    for name, one in found["notebooks"].items():
        spent = f"{one['seconds']:.0f} | {one['training_seconds']:.0f}"
        memory = one["peak_memory_bytes"] / 1024**3
        lines.append(f"| `{name}` | {one['dataset']} | {spent} | {memory:.2f} |")
    total = sum(one["seconds"] for one in found["notebooks"].values())
    lines.append(f"| all, one after another | | {total:.0f} | | |")
    return "\n".join(lines)


TABLES = {"speed": table, "waiting": waiting}
"""What stands between the marks `<!-- name -->` and `<!-- end of name -->`."""


def main() -> None:
    page = ROOT / "docs" / "speed.md"
    text = page.read_text(encoding="utf-8")
    for name, written in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{written()}\n{end}{rest.split(end)[1]}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
