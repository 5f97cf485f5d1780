"""The tables of findings in README and docs say what the stored results say."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from ssl_lib.evaluation.decisions import Comparison
from ssl_lib.evaluation.statistics import Interval
from ssl_lib.methods import row_name
from ssl_lib.reports import findings


def test_the_texts_show_the_committed_results() -> None:
    changed = subprocess.run(
        ["git", "status", "--porcelain", "reports/results"],
        cwd=findings.ROOT,
        capture_output=True,
        text=True,
    )
    if changed.returncode or changed.stdout.strip():
        pytest.skip("the results here are not the committed ones")
    for place, tables in findings.TABLES.items():
        text = (findings.ROOT / place).read_text(encoding="utf-8")
        assert not [name for name, written in tables.items() if written() not in text], place


def test_every_column_of_the_quick_profile_has_methods_and_three_seeds() -> None:
    stored = findings.stored_cohorts().values()
    cohorts = [results for results in stored if results[0]["profile"] == "quick"]
    assert len(cohorts) >= 3
    for results in cohorts:
        assert len(findings.measured(results)) >= findings.FEWEST_METHODS
        for row in findings.measured(results):
            seeds = {result["seed"] for result in results if row in result["rows"]}
            assert len(seeds) >= 3, row


def run_of(seed: int, rows: dict[str, float], **changed: object) -> dict:
    """A stored run of two ACDC scans; every row has that Dice on both."""
    scores = {
        name: {"per_case": [{"id": scan, "class": 1, "dice": dice} for scan in SCANS]}
        for name, dice in rows.items()
    }
    run = {"dataset": "acdc", "n_labelled": 3, "profile": "evening", "cohort_hash": "a"}
    return {**run, "seed": seed, "rows": scores, **changed}


SCANS = ("patient001_frame01", "patient002_frame01")


def test_each_draw_weighs_the_same_however_many_seeds_it_has() -> None:
    strong = {"supervised_strong": 0.5}
    published = [run_of(seed, {**strong, "mean_teacher": 0.7}) for seed in (0, 1, 2)]
    other = [run_of(0, {**strong, "mean_teacher": 0.6, "bcp": 0.4})]
    groups = {"published": published, "draw 1": other}
    _, _, level, teacher, bcp = findings._within(groups, mean="mean").splitlines()
    assert level.endswith("| 0.500 | 0.500 | 0.500 |")
    assert "▲ +0.150 [" in teacher.split("|")[-2] and "draw" not in teacher
    assert "▼ −0.100 [" in bcp.split("|")[-2] and "1 draw" in bcp.split("|")[-2]


def test_quick_rows_are_left_out_where_the_same_data_were_trained_longer(monkeypatch) -> None:
    monkeypatch.setattr(findings, "earlier_settings", lambda runs: False)
    rows = {"supervised_strong": 0.5, "mean_teacher": 0.6, "bcp": 0.6}
    quick, evening = run_of(0, rows, profile="quick"), run_of(0, rows)
    assert list(findings.cohorts([quick])) == ["acdc, 3 labelled patients"]
    assert list(findings.cohorts([quick, evening])) == ["acdc, 3 labelled patients, evening"]


def test_a_cell_says_verdict_mean_and_interval() -> None:
    interval = Interval(-0.0312, -0.04, -0.0204, 24, 3)
    one = Comparison("umct", "supervised_strong", interval, (), 0.01, 0.01, "worse")
    assert findings.cell(one) == "▼ −0.031 [−0.040,\u00a0−0.020]"
    assert findings.cell(None) == "–"
    assert [findings.signed(value) for value in (-0.0004, 0.0, 0.0006)] == [
        "0.000",
        "0.000",
        "+0.001",
    ]


def test_no_idea_of_the_five_published_methods_gains_as_the_readme_says() -> None:
    lines = {line.split(" minus ")[0]: line for line in findings.idea_table().splitlines()}
    published = [lines[f"| {row_name(row)}"] for row in ("bcp", "umct", "ua_mt", "aau", "dsaif")]
    assert all(line.count("[") >= 4 for line in published)
    assert not [line for line in published if "▲" in line]


def test_no_method_ends_above_the_mean_teacher_as_the_readme_says() -> None:
    lines = [line.split("|")[1:-1] for line in findings.reading_lines(short=True).splitlines()]
    last = {line[0].strip(): line[-1] for line in lines}
    better = [row for row, minus in last.items() if "▲" in minus]
    assert "mean teacher" in lines[0][-1] and better == [row_name("supervised_all")]


def test_validation_scans_would_have_told_what_boxes_are_worth_as_the_findings_say() -> None:
    lines = [line.split("|")[1:-1] for line in findings.box_lines().splitlines()[2:]]
    data = [row.split(",")[0].strip() for row, *_ in lines]
    signs = [(test.split()[1][0], validation.strip()[0]) for *_, test, validation, _ in lines]
    wanted = {"acdc": ("+", "+"), "la2018": ("−", "−")}
    assert len(lines) >= 6 and signs == [wanted[name] for name in data]


def test_every_difference_in_the_prose_stands_in_a_table() -> None:
    """Numbers of three decimals; those of a trial on validation scans stand in its file."""
    texts = {place: (findings.ROOT / place).read_text("utf-8") for place in findings.TABLES}
    prose = [MARKED.sub("", text) for text in texts.values()]
    tables = [one.group() for text in texts.values() for one in MARKED.finditer(text)]
    trial = json.loads((findings.ROOT / "reports/validation/04_dsaif_on_acdc.json").read_text())
    pairs = [(line["network 1"], line["network 2"]) for line in trial["lines"]]
    means = {f"{sum(pair) / 2:.3f}" for pair in pairs}
    known = {*DECIMALS.findall(" ".join(tables)), *means}
    stated = DECIMALS.findall(" ".join(prose))
    assert len(stated) > 10 and not [one for one in stated if one not in known]


MARKED = re.compile(r"<!-- (?P<name>[a-z ]+) -->.*?<!-- end of (?P=name) -->", re.DOTALL)
DECIMALS = re.compile(r"\b0\.\d{3}\b")


@pytest.mark.long
def test_only_what_stands_between_the_marks_is_rewritten(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(findings, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    for place, tables in findings.TABLES.items():
        marked = (f"<!-- {name} -->\nold\n<!-- end of {name} -->\n" for name in tables)
        (tmp_path / place).write_text(f"before\n{''.join(marked)}after\n", encoding="utf-8")
    findings.main()
    for place, tables in findings.TABLES.items():
        text = (tmp_path / place).read_text(encoding="utf-8")
        assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
        assert all(written() in text for written in tables.values())
