"""The README's table of findings, from the stored results.

python -m ssl_lib.reports.findings      rewrites the table

Every cohort of the quick profile on which at least three methods were measured: Dice of each row
minus Dice of the strong control, paired, averaged over test scans and seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_lib.config import earlier_settings
from ssl_lib.data.load import DATASETS
from ssl_lib.data.published import PUBLISHED
from ssl_lib.evaluation.decisions import Comparison, compare_rows
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import read_rows
from ssl_lib.evaluation.statistics import scan_scores
from ssl_lib.figures.leaderboard import VERDICT_MARKERS
from ssl_lib.methods import ablations, row_name
from ssl_lib.notebook.files import write_text

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "reports" / "results"
START, END = "<!-- findings -->", "<!-- end of findings -->"
CONTROL = "supervised_strong"
METHODS = tuple(ablations())
CEILING = "supervised_all"
COHORT = ("dataset", "n_labelled", "profile", "cohort_hash")
FEWEST_METHODS = 2

Results = Sequence[Mapping[str, object]]


def cohorts(results: Results) -> dict[str, Results]:
    """The runs of each named cohort that has enough methods, all of today's settings, by its name."""
    found: dict[tuple, list[Mapping[str, object]]] = {}
    for result in results:
        found.setdefault(tuple(result[key] for key in COHORT), []).append(result)
    return {
        cohort_name(*key[:3]): runs
        for key, runs in sorted(found.items())
        if len(measured(runs)) >= FEWEST_METHODS
        and key[0] in DATASETS
        and not earlier_settings(runs)
    }


def cohort_name(dataset: str, n_labelled: int, profile: str = "quick") -> str:
    """A cohort in words; the profile is named unless it is the default one."""
    unit = PUBLISHED[dataset].unit if dataset in PUBLISHED else "scan"
    name = f"{dataset}, {n_labelled} labelled {unit}{'s' * (n_labelled > 1)}"
    return name if profile == "quick" else f"{name}, {profile}"


def measured(results: Results) -> list[str]:
    """The methods that some run holds."""
    return [row for row in METHODS if any(row in result["rows"] for result in results)]


def table() -> str:
    """The table in Markdown: one line a row, one column a cohort."""
    stored = cohorts([r for r in read_rows(RESULTS) if r["profile"] != "smoke"])
    lines = [["Dice", *stored], ["---"] * (len(stored) + 1)]
    lines += table_lines(stored)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_lines(stored: Mapping[str, Results]) -> list[list[str]]:
    """The lines of the table: the level of the control, then each row's difference to it."""
    columns = [differences(results) for results in stored.values()]
    levels = [nan_mean(scan_scores(results, CONTROL).values) for results in stored.values()]
    lines = [[row_name(CONTROL), *(f"{level:.3f}" for level in levels)]]
    for row in (*METHODS, CEILING):
        lines.append([row_name(row), *(cell(column.get(row)) for column in columns)])
    return lines


def differences(results: Results) -> dict[str, Comparison]:
    """Each method and the row with all labels, against the strong control."""
    pairs = [(row, CONTROL) for row in (*measured(results), CEILING)]
    return {one.row: one for one in compare_rows(results, pairs)}


def cell(one: Comparison | None) -> str:
    """A difference with its interval and verdict; a dash where it was not measured."""
    if one is None:
        return "–"
    interval = f"[{one.interval.low:+.3f}, {one.interval.high:+.3f}]"
    return f"{VERDICT_MARKERS[one.verdict]} {one.interval.mean:+.3f} {interval}".replace("-", "−")


def main() -> None:
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    write_text(readme, f"{before}{START}\n{table()}\n{END}{after}")


if __name__ == "__main__":
    main()
