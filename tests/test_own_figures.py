"""Figures of a folder and of a volume: right is right, up is up, and nobody is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from organ_scans import SPACING, organ, write_organs, write_oriented

from ssl_lib import figures
from ssl_lib.survey import Finding, survey
from ssl_lib.survey_tables import findings_table

NAMES = ("background", "front", "back")


@pytest.mark.parametrize(
    ("panel", "axes"), [(0, (0, 1)), (1, (0, 2)), (2, (1, 2))], ids=["axial", "coronal", "sagittal"]
)
def test_a_bright_voxel_lies_where_the_lines_cross(panel, axes):
    image = np.zeros((9, 8, 7), np.float32)
    point = (6, 5, 2)
    image[point] = 1
    figure = figures.three_cuts(image, SPACING, point, class_names=NAMES)
    ax = figure.axes[panel]
    picture = np.asarray(ax.images[0].get_array())
    row, column = np.argwhere(picture == 1)[0]
    vertical, horizontal = (line for line in ax.lines)
    assert column == point[axes[0]] == vertical.get_xdata()[0], "the first axis runs to the right"
    assert row == picture.shape[0] - 1 - point[axes[1]] == horizontal.get_ydata()[0]
    assert ax.images[0].axes.get_aspect() == pytest.approx(SPACING[axes[1]] / SPACING[axes[0]])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2), st.floats(0, 1), st.integers(0, 2**31))
def test_a_point_is_in_the_asked_slice_and_in_the_scan(axis, height, seed):
    label = (np.random.default_rng(seed).random((5, 6, 7)) > 0.97).astype(np.uint8)
    index = round(height * (label.shape[axis] - 1))
    point = figures.organ_point(label, axis, index)
    assert point[axis] == index
    assert all(0 <= value < side for value, side in zip(point, label.shape, strict=True))


def test_the_middle_of_an_organ_is_found():
    _, label = organ(0)
    point = figures.organ_point(label, 2, 10)
    assert label[point] > 0


def test_every_usable_scan_has_its_line_and_mistakes_are_marked(tmp_path):
    folder = write_organs(tmp_path)
    (folder / "imagesTr" / "a00.nii.gz").write_bytes(b"")
    write_oriented(folder / "imagesTr" / "u00.nii.gz", organ(50)[0], spacing=(3.0, 1.5, 2.0))
    found = survey(folder)
    greys, sizes = figures.folder_overview(found).axes
    names = [text.get_text() for text in greys.get_yticklabels()]
    assert names == [*(f"a0{n}" for n in range(1, 7)), "▸ u00", "u01"]
    assert len(greys.lines) == 3 * len(found.facts)
    for line, axis in zip(sizes.lines, range(3), strict=True):
        expected = [found.facts[name.removeprefix("▸ ")].spacing[axis] for name in names]
        assert line.get_xdata().tolist() == expected


def test_findings_share_a_line_and_the_gravest_come_first():
    findings = [
        Finding("note", "folder", "a note"),
        *(Finding("left out", f"imagesTr/{n}.nii.gz", "is <empty>") for n in range(9)),
    ]
    html = findings_table(findings).data
    assert html.count("<tr>") == 3 and html.index("left out") < html.index("a note")
    assert "and 3 more" in html and "is &lt;empty&gt;" in html
    assert "Nothing to report" in findings_table([]).data
