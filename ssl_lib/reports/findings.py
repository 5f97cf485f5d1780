"""The README's table of findings, from the stored results.

python -m ssl_lib.reports.findings      rewrites the table

Every cohort of the quick profile on which at least three methods were measured: Dice of each row
minus Dice of the strong control, paired, averaged over test scans and seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_lib.decisions import Comparison, compare_rows
from ssl_lib.figures.leaderboard import VERDICT_MARKERS
from ssl_lib.metrics import nan_mean
from ssl_lib.notebook_files import write_text
from ssl_lib.results import read_results, row_name
from ssl_lib.statistics import scan_scores

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "reports" / "results"
START, END = "<!-- findings -->", "<!-- end of findings -->"
CONTROL = "supervised_strong"
METHODS = ("mean_teacher", "bcp", "umct", "ua_mt", "aau", "dsaif")
CEILING = "supervised_all"
FEWEST_METHODS = 3

Results = Sequence[Mapping[str, object]]


def cohorts() -> dict[str, Results]:
    """The runs of each cohort that has enough methods, by its name in words."""
    found: dict[tuple[str, int], list[Mapping[str, object]]] = {}
    for result in read_results(RESULTS, profile="quick"):
        found.setdefault((result["dataset"], result["n_labelled"]), []).append(result)
    return {
        f"{dataset}, {count} label{'s' * (count > 1)}": results
        for (dataset, count), results in sorted(found.items())
        if len(measured(results)) >= FEWEST_METHODS
    }


def measured(results: Results) -> list[str]:
    """The methods that some run holds."""
    return [row for row in METHODS if any(row in result["rows"] for result in results)]


def table() -> str:
    """The table in Markdown: one line a row, one column a cohort."""
    columns = {name: differences(results) for name, results in cohorts().items()}
    levels = [nan_mean(scan_scores(results, CONTROL).values) for results in cohorts().values()]
    lines = [f"| Dice | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines.append(f"| {row_name(CONTROL)} | {' | '.join(f'{level:.3f}' for level in levels)} |")
    for row in (*METHODS, CEILING):
        cells = [cell(column.get(row)) for column in columns.values()]
        lines.append(f"| {row_name(row)} | {' | '.join(cells)} |")
    return "\n".join(lines)


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
