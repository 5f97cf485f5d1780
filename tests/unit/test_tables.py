"""The result table and the README's picture show what the result files hold."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.decisions import compare_rows
from ssl_lib.evaluation.results import SMOKE, build_result, write_result
from ssl_lib.evaluation.statistics import Interval
from ssl_lib.figures import forest, row_comparison, style
from ssl_lib.notebook.tables import (
    gain_table,
    interval_text,
    measured_table,
    number,
    plain_table,
    reading_table,
    row_table,
)
from ssl_lib.reports.picture import COHORT, draw_picture
from ssl_lib.utils.errors import InputError


def stored(seed: int, gain: float = 0.05) -> dict:
    """A result with two rows on the phantom's first test scans."""
    cohort = phantom_cohort(4, max_scans=12)

    def row(extra: float, name: str) -> dict:
        per_case = [
            {
                "id": case.case_id,
                "class": 1,
                "dice": 0.6 + 0.01 * i + extra,
                "jaccard": 0.5,
                "hd95": math.nan if i == 0 else 4.0,
                "asd": 1.0,
            }
            for i, case in enumerate(cohort.test)
        ]
        means = {"dice": 0.6 + extra, "jaccard": 0.5, "hd95": 4.0, "asd": 1.0}
        units = {"dice": "fraction", "jaccard": "fraction", "hd95": "mm", "asd": "mm"}
        more = {"units": units, "empty_predictions": 1, "seconds": 7.0, "per_case": per_case}
        return {**means, **more, "name": name}

    rows = {"supervised_strong": row(0.0, "<b>"), "mean_teacher": row(gain, "")}
    return build_result(
        notebook="00_few_labels_many_scans",
        dataset="phantom",
        cohort=cohort,
        n_labelled=4,
        seed=seed,
        profile="quick",
        parameters={},
        rows=rows,
        seconds=1.0,
        device="cpu",
    )


def cells(html: str) -> list[list[str]]:
    """The table's body as text."""
    body = html.split("<tbody>")[1]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in body.split("</tr>")[:-1]]


def test_readings_stand_beside_the_last_weights() -> None:
    results = [stored(0), stored(1)]
    for result in results:
        for extra, row in enumerate(result["rows"].values()):
            better = [{**e, "dice": e["dice"] + 0.1 * extra} for e in row["per_case"]]
            row["largest_component"] = {"dice": 0.0, "per_case": better}
    rows, baselines = ["supervised_strong", "mean_teacher"], ["supervised_strong"]
    strong, teacher = cells(reading_table(results, rows, baselines).data)
    assert strong[2:] == ["0.000", "–"], "readings that no row has are not shown"
    assert teacher[2] == "+0.100" and teacher[3].startswith("+0.050 [")


def test_difference_is_paired_and_seeds_are_counted() -> None:
    strong, teacher = cells(row_table([stored(0), stored(1)]).data)
    assert strong[0].startswith("Strong baseline") and strong[2] == "–"
    assert teacher[2] == "+0.050 [+0.050,\u00a0+0.050]"
    assert "Seeds 0, 1;" in row_table([stored(0), stored(1)]).data
    assert strong[-1] == teacher[-1] == "7"
    assert teacher[4] == "4.00", "the undefined distance is left out of the mean"
    assert teacher[-2] == "2", "empty predictions add up over seeds"


def with_one_scan(result: dict) -> dict:
    rows = {name: {**row, "per_case": row["per_case"][:1]} for name, row in result["rows"].items()}
    return {**result, "rows": rows}


def test_one_test_scan_has_numbers_without_intervals() -> None:
    html = row_table([with_one_scan(stored(0))]).data
    strong, teacher = cells(html)
    assert "[" not in html and "undefined" not in strong[1] and "nan" not in html
    assert teacher[2] == "+0.050" and "one scan has no interval" in html
    assert "one scan" not in row_table([stored(0)]).data


def test_an_interval_is_in_brackets_where_there_is_one() -> None:
    nan = math.nan
    assert interval_text(Interval(0.99, nan, nan, 1, 1)) == "0.990"
    assert interval_text(Interval(0.042, nan, nan, 1, 1), "+") == "+0.042"
    assert interval_text(Interval(nan, nan, nan, 0, 1)) == "undefined"
    assert interval_text(Interval(0.5, 0.4, 0.6, 3, 1)) == "0.500 [0.400,\u00a00.600]"


def test_questions_are_answered_in_a_table_and_in_sentences() -> None:
    pair, back = ("mean_teacher", "supervised_strong"), ("supervised_strong", "mean_teacher")
    questions = {"unlabelled scans": pair, "without them": back, "views": ("umct", "bcp")}
    html = gain_table(questions, [stored(0), stored(1)]).data
    assert "Gained: unlabelled scans (+0.050). Lost: without them (−0.050)." in html
    assert "views" not in html, "no stored run can answer"
    assert (
        "Equal for practical purposes: unlabelled scans."
        in gain_table({"unlabelled scans": pair}, [stored(0, 0.005)]).data
    )
    smoke = gain_table(questions, [{**stored(0), "profile": "smoke"}]).data
    assert "mean nothing" in smoke and "Gained" not in smoke and "better" not in smoke


def test_a_number_that_is_undefined_says_so() -> None:
    assert number(math.nan) == "undefined"
    assert number(0.12345, 2, "+") == "+0.12"


def test_the_picture_is_drawn_from_result_files(tmp_path) -> None:
    with pytest.raises(InputError, match="no stored row"):
        draw_picture(tmp_path)
    write_result({**stored(0), **COHORT}, tmp_path / "results")
    assert draw_picture(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_a_gain_is_a_line_with_its_verdict_and_a_smoke_run_has_none() -> None:
    pairs = {"<the> teacher": ("mean_teacher", "supervised_strong"), "no row": ("bcp", "aau")}
    html = gain_table(pairs, [stored(0), stored(1)], where="Here.").data
    assert "&lt;the&gt; teacher" in html and "no row" not in html
    assert "+0.050 [+0.050,\u00a0+0.050]" in html and "a gain" in html
    assert "Here." in html and SMOKE not in html
    html = gain_table(pairs, [stored(0) | {"profile": "smoke"}]).data
    assert SMOKE in html and "a gain" not in html


def test_measured_rows_are_means_over_seeds_and_smoke_runs_are_left_out() -> None:
    runs = [stored(0), stored(1, gain=0.15), stored(2) | {"profile": "smoke"}]
    html = measured_table(runs, ["mean_teacher", "supervised_strong", "bcp"]).data
    assert "70.00" in html and "phantom, quick, 4 labelled" in html and "smoke" not in html
    assert html.count("–") == 1


def test_measured_rows_are_means_over_the_seeds_that_all_of_them_have() -> None:
    first, second = stored(0), stored(1, gain=0.15)
    second["rows"] = {"mean_teacher": second["rows"]["mean_teacher"]}
    html = measured_table([first, second], ["mean_teacher", "supervised_strong"]).data
    assert re.findall(r'class="number">([\d.]+)</t', html)[-1] == "1" and "70.00" not in html


def test_a_setting_with_one_of_the_rows_measures_nothing_to_compare() -> None:
    html = measured_table([stored(0)], ["mean_teacher", "bcp"]).data
    assert "Nothing is stored yet." in html and "quick" not in html


def test_columns_of_numbers_stand_to_the_right() -> None:
    html = plain_table(("a", "b", "c"), [("x", 1, "y"), ("z", "-2 %", "3")], "Words.").data
    assert re.findall(r'class="number">(.*?)</t', html) == ["b", "1", "-2 %"]
    assert '<th scope="col">c</th>' in html and "<td>y</td>" in html


def test_figures_and_tables_of_a_smoke_run_say_so() -> None:
    for profile, said in (("smoke", True), ("quick", False)):
        runs = [stored(0) | {"profile": profile}]
        figure = row_comparison(runs)
        assert (figure.get_suptitle() == SMOKE) == said
        assert (SMOKE in row_table(runs).data) == said


def test_a_forest_of_a_smoke_run_says_so() -> None:
    runs = [stored(0) | {"profile": "smoke"}]
    made = compare_rows(runs, [("mean_teacher", "supervised_strong")])
    assert forest(made, margin=0.01, results=runs).get_suptitle() == SMOKE
    assert forest(made, margin=0.01).get_suptitle() == ""


def overlapping(figure: Figure) -> list[str]:
    """The tick labels of an axis that lie on their neighbours."""
    style.to_image(figure)
    found = []
    for ax in figure.axes:
        labels = [text for text in ax.get_xticklabels() if text.get_text() and ax.get_xticks().size]
        boxes = [(text.get_window_extent(), text.get_text()) for text in labels]
        found += [
            words for (one, words), (other, _) in pairwise(boxes) if one.x1 > other.x0 > one.x0
        ]
    return found


@pytest.mark.parametrize("gain", [0.0005, 0.0025, 0.05, 0.3])
def test_no_label_lies_on_another(gain: float) -> None:
    runs = [stored(0, gain), stored(1, gain * 1.1)]
    made = compare_rows(runs, [("mean_teacher", "supervised_strong")])
    assert overlapping(row_comparison(runs)) == []
    names = {"mean_teacher": "D: the teacher sees another geometry than the student"}
    assert overlapping(forest(made, margin=0.01, names=names)) == []


def test_zero_has_no_sign_whichever_side_it_was_rounded_from() -> None:
    assert [number(value, 3, "+") for value in (-0.0004, 0.0004, 0.0)] == ["0.000"] * 3
    assert number(-0.0006) == "−0.001" and number(0.0006, 3, "+") == "+0.001"
    assert number(float("nan"), 3, "+") == "undefined"


def test_a_row_with_changed_parameters_is_explained_where_it_stands() -> None:
    result = stored(0)
    assert "In brackets behind a row" not in row_table([result]).data
    result["rows"]["mean_teacher[schedule.teacher_decay=0.97]"] = result["rows"]["mean_teacher"]
    assert "In brackets behind a row" in row_table([result]).data
