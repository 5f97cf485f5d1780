"""The table of `docs/guarantees.md`: which tests hold each guarantee, how many passed last time.

python tests/guarantees.py    rewrites the table from build/tests.json, which `make test` writes
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "build" / "tests.json"
START, END = "<!-- guarantees -->", "<!-- end of guarantees -->"
GUARANTEES: dict[str, tuple[str, ...]] = {
    "A killed training, report, download or write goes on to the same bits; nothing is ever half"
    " written": ("test_kills", "test_checkpoint", "test_training"),
    "A server that lies or a hostile archive costs a message, never a wrong file": (
        "test_lying_servers", "test_hostile_archives", "test_download",
    ),
    "A broken file or parameter is refused in words that name it": (
        "test_broken_inputs", "test_fuzz_readers", "test_damaged_notes", "test_reading",
    ),
    "Folders as people have them work as meant or say what to change; a scan, a label map by hand"
    " or a corrected prediction is never replaced": (
        "test_folders", "test_label_names", "test_fingerprint", "test_export",
        "test_your_own_scans", "test_formats", "test_dicom", "test_channels", "test_spacing",
        "test_small_organs", "test_folds", "test_upright", "test_post_processing",
    ),
    "No hidden label is reached by training, and no patient is in two splits": (
        "test_no_peeking", "test_cohorts", "test_sources",
    ),
    "The classic defects of the field would be noticed": ("test_defects", "test_museum"),
    "Scores are those of MedPy, MONAI and surface-distance, or the difference is stated": (
        "test_metric_parity", "test_metrics",
    ),
    "Intervals cover what they say": ("test_statistics", "test_decisions"),
    "Each method is its paper's, property by property": (
        "test_baselines", "test_bcp", "test_umct", "test_aau", "test_dsaif", "test_newer",
    ),
    "A whole update is the released code's, to 1e-9 in doubles, and every constant of `paper` has a"
    " line that says same, or why not": ("test_released_updates", "test_constants"),
    "Nothing is unpickled, nothing calls out, names of files are text": (
        "test_safety", "test_nasty_names",
    ),
    "Every notebook runs, its stored outputs agree, and every task's solution passes": (
        "test_smoke_notebooks", "test_notebook_rules", "test_exercises",
    ),
    "What a figure computes in the page is what the library computes": tuple(
        sorted(path.stem for path in (ROOT / "tests" / "browser").glob("test_interactive*.py"))
    ),
    "Pages work without network and kernel, by keyboard, in WCAG 2.1 AA; JupyterLab runs every"
    " notebook; Binder and Colab are imitated": (
        "test_pages_in_browser", "test_lab_in_browser", "test_elsewhere",
    ),
}  # fmt: skip


def path_of(name: str) -> str:
    """Where a test file lies, below the root."""
    (path,) = ROOT.glob(f"tests/*/{name}.py")
    return path.relative_to(ROOT).as_posix()


def table(passed: Mapping[str, int]) -> str:
    """The table in Markdown; `passed` is the number of passed tests for each test file."""
    lines = ["| guarantee | tests | passed |", "|---|---|---|"]
    for guarantee, names in GUARANTEES.items():
        links = ", ".join(f"[`{name}`](../{path_of(name)})" for name in names)
        lines.append(f"| {guarantee} | {links} | {sum(passed.get(name, 0) for name in names)} |")
    lines.append(f"| everything | `tests/` | {sum(passed.values())} |")
    return "\n".join(lines)


def main() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    page = ROOT / "docs" / "guarantees.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    _, after = rest.split(END)
    said = f"Passed in the last recorded run ({'long' if record['long'] else 'short'} form)."
    page.write_text(
        f"{before}{START}\n{said}\n\n{table(record['passed'])}\n{END}{after}", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
