"""Signs without truth: each finds the scan that is wrong, and undefined ones do not count."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssl_lib import figures
from ssl_lib.evaluation.components import count_components
from ssl_lib.evaluation.watching import agreement, class_shares, watch_scans
from ssl_lib.notebook.own_tables import suspicious_table


def usual() -> dict[str, np.ndarray]:
    """Six scans with one block of class 1 and one of class 2."""
    maps = {}
    for number in range(6):
        label = np.zeros((12, 16, 10), np.uint8)
        label[2:8, 2:8, 2:8], label[9:11, 9:14, 2:6] = 1, 2
        maps[f"s{number}"] = label
    return maps


def missing(label: np.ndarray) -> None:
    label[label == 2] = 0


def scattered(label: np.ndarray) -> None:
    label[::4, 15, ::4] = 1


def grown(label: np.ndarray) -> None:
    label[2:8, 2:8] = 1  # more voxels, as many components


@pytest.mark.parametrize("change", [missing, scattered, grown])
def test_a_scan_that_is_unlike_the_others_comes_first(change):
    maps = usual()
    change(maps["s3"])
    watched = watch_scans(maps, 3)
    assert watched[0].case_id == "s3" and len(watched) == 6
    assert watched[0].place < watched[1].place


def test_disagreement_of_teacher_rows_or_seeds_comes_first():
    maps, other = usual(), usual()
    other["s4"] = np.roll(other["s4"], 3, axis=0)
    for options in ({"teacher": other}, {"rows": [maps, other]}, {"seeds": [maps, other]}):
        first, *others = watch_scans(maps, 3, **options)
        assert first.case_id == "s4"
        (sign,) = options
        assert getattr(first, sign) < getattr(others[0], sign) == 1.0


def test_the_place_is_the_mean_of_the_places_in_the_signs():
    maps, other = usual(), usual()
    scattered(maps["s0"])  # first in share and components
    other["s0"] = maps["s0"]
    other["s1"] = np.roll(other["s1"], 1, axis=0)  # first in agreement
    places = {one.case_id: one.place for one in watch_scans(maps, 3, teacher=other)}
    assert places["s0"] == pytest.approx((1 + 1 + 4) / 3)
    assert places["s1"] == pytest.approx((4 + 4 + 1) / 3)


def test_signs_are_counted_as_they_are_named():
    label = usual()["s0"]
    scattered(label)
    assert count_components(label, 4) == (1 + 9, 1, 0)
    assert class_shares(label, 4) == ((216 + 9) / 1920, 40 / 1920, 0.0)


def test_agreement_is_the_mean_over_pairs_and_undefined_where_nothing_is_found():
    empty = {"a": np.zeros((4, 4), np.uint8)}
    full = {"a": np.ones((4, 4), np.uint8)}
    assert agreement([full, full, empty], 2) == {"a": pytest.approx(1 / 3)}
    assert np.isnan(agreement([empty, empty], 2)["a"])
    assert agreement([full], 2) == {} and agreement([], 2) == {}


def test_undefined_signs_do_not_count_and_no_scan_is_no_error():
    first, *_ = watch_scans(usual(), 3)
    assert np.isnan(first.teacher) and np.isnan(first.rows) and first.place == 3.5
    assert watch_scans({}, 3) == []
    nothing = {name: 0 * label for name, label in usual().items()}
    assert [one.place for one in watch_scans(nothing, 3, rows=[nothing, nothing])] == [3.5] * 6


def test_the_table_shows_the_first_five_of_all():
    html = suspicious_table(watch_scans(usual(), 3), ("background", "front", "back")).data
    assert html.count("<tr>") == 1 + 5 and "5 of 6 unlabelled scans" in html
    assert html.count("–") == 5 and "front / back" in html
    assert "teacher and student" not in html, "there is none"


def test_the_table_has_a_column_of_seeds_where_there_are_several():
    maps = usual()
    for seeds, shown in (([maps], False), ([maps, usual()], True)):
        html = suspicious_table(watch_scans(maps, 3, seeds=seeds), ("background", "a", "b")).data
        assert ("between seeds" in html) == shown and (html.count("1.000") > 0) == shown


def test_the_figure_shows_what_the_snapshots_hold():
    frames = [
        {"iteration": step, "label": torch.tensor(label)}
        for step, label in enumerate(usual().values())
    ]
    trainings = {row: SimpleNamespace(snapshots=frames) for row in ("bcp", "mean_teacher")}
    figure = figures.snapshot_signs(trainings, "scan_07", 3)
    assert "scan_07" in figure.get_suptitle()
    shares, parts = figure.axes
    assert len(shares.lines) == len(parts.lines) == 2
    np.testing.assert_allclose(shares.lines[0].get_ydata(), 100 * 256 / 1920)
    assert list(parts.lines[1].get_ydata()) == [2] * 6
