"""What the front page says first: three numbers, a forest plot, and two predictions of a scan."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from organ_scans import SPACING, organ

from ssl_lib.data.cohort import Case
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import read_rows
from ssl_lib.evaluation.statistics import scan_scores
from ssl_lib.methods import row_name
from ssl_lib.notebook.interactive import Compared, wipe
from ssl_lib.notebook.interactive.page import Piece
from ssl_lib.reports.findings import CEILING, RESULTS, STRONG, TWO_CORES, differences
from ssl_lib.reports.forest import BEST, overview
from ssl_lib.reports.offline import external_references
from ssl_lib.reports.opening import FILE, QUARTILES, TAUGHT

ROWS = read_rows(RESULTS, **TWO_CORES)


def test_the_numbers_are_those_of_the_stored_rows() -> None:
    shown = overview(ROWS).numbers
    for row, (_, number, _, seeds) in zip((STRONG, BEST, CEILING), shown, strict=True):
        scores = scan_scores(ROWS, row)
        assert number == f"{nan_mean(scores.values):.2f}"
        assert seeds == len(scores.values)


def test_the_bars_lie_where_their_numbers_are() -> None:
    found, shown = differences(ROWS), overview(ROWS)
    by_name = {row_name(row): one.interval for row, one in found.items()}
    low, high = (float(end.replace("−", "-")) for end in shown.ends)
    for bar in shown.bars:
        wanted = by_name[bar.name]
        for place, value in (
            (bar.low, wanted.low),
            (bar.middle, wanted.mean),
            (bar.high, wanted.high),
        ):
            assert low + place / 100 * (high - low) == pytest.approx(value, abs=0.011)
    assert low + shown.zero / 100 * (high - low) == pytest.approx(0, abs=0.011)


def test_without_the_three_rows_nothing_is_said() -> None:
    assert overview([]) is None
    few = [{**one, "rows": {k: v for k, v in one["rows"].items() if k != CEILING}} for one in ROWS]
    assert overview(few) is None


def test_the_stored_figure_loads_nothing_and_names_the_terms_of_its_data() -> None:
    html = Piece(**json.loads(FILE.read_text(encoding="utf-8"))).html()
    assert external_references(html) == []
    assert "CC BY-NC-SA" in html and "Bernard" in html


def test_a_wipe_holds_the_truth_last_and_crops_around_the_organ() -> None:
    image, truth = organ(0)[:2]
    case = Case("a", "a", image.astype(np.float32), SPACING)
    one = Compared("the one", case, truth, {"few": np.zeros_like(truth)}, {"few": 0.25})
    html = wipe([one], ("background", "one", "two"), alt="Two predictions.").html()
    shape = re.search(r'"grey":\{"array":"[^"]*","type":"uint8","shape":\[(\d+),(\d+)\]', html)
    assert all(8 < int(side) < max(image.shape) + 1 for side in shape.groups())
    assert '"maps":["few","an expert"]' in html and "0.25" in html


def test_the_scans_of_the_stored_figure_are_those_of_the_result_files() -> None:
    """Their Dice stands in the rows of seed 0, at the quartiles of the gain."""
    results = [one for one in ROWS if one["seed"] == 0]
    few, taught = (scan_scores(results, row).values[0] for row in (STRONG, TAUGHT))
    rank = np.argsort(taught - few)
    shown = json.loads(json.loads(FILE.read_text(encoding="utf-8"))["data"])["scans"]
    for one, share in zip(shown, QUARTILES.values(), strict=True):
        scan = rank[round(share * (len(rank) - 1))]
        assert one["dice"] == pytest.approx([few[scan], taught[scan]], abs=2e-4)
