"""One slice is turned in one way on a whole page: upright, as the slice viewer shows it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from format_scans import as_pictures, as_slices_of_two_sizes, flat_organ, write_folder
from matplotlib.figure import Figure
from organ_scans import organ, write_organs

from ssl_lib import figures
from ssl_lib.data.cohort import Case, Cohort
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.folder import folder_cohort
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.notebook.interactive.scans import _picture
from ssl_lib.notebook.interactive.slices import all_slices, shown_slice
from ssl_lib.notebook.interactive.surface import _Shown
from ssl_lib.notebook.viewer.cuts import VIEWS, Scan, draw_view


def cohort_of(folder: Path) -> Cohort:
    return folder_cohort(take_fingerprint(folder), 2, largest_side=32)[0]


def pictures_of(figure: Figure) -> list[list[np.ndarray]]:
    """The pictures of each axes that has any: the scan, then its classes."""
    return [[np.asarray(one.get_array()) for one in ax.images] for ax in figure.axes if ax.images]


@pytest.mark.parametrize("axes", ["".join(order) for order in permutations("xyz")])
def test_a_slice_is_turned_as_the_viewer_turns_it(axes):
    shape, spacing, point = (6, 7, 8), (1.0, 2.0, 3.0), (4, 2, 5)
    volume = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape) / 1000
    scan, order = Scan(volume, spacing), ["xyz".index(name) for name in axes]
    for view, (width, height) in zip(VIEWS, scan.sizes(), strict=True):
        axis = axes.index("xyz"[view.axis])
        cut = figures.Slice(axis, point[view.axis], axes)
        picture = cut.of(volume.transpose(order))
        assert cut.pixel([spacing[one] for one in order]) == (
            spacing[view.up],
            spacing[view.across],
        )
        drawn = draw_view(scan, view, (width, height), point, scan.first_look())
        rows, columns = (
            (2 * np.arange(n) + 1) * size // (2 * n)
            for n, size in zip(picture.shape, (height, width), strict=True)
        )
        drawn = drawn[rows][:, columns]
        grey = (drawn == drawn[..., :1]).all(axis=-1)  # what no line of another cut covers
        assert grey.mean() > 0.5
        assert np.corrcoef(picture[grey], drawn[grey, 0])[0, 1] > 0.95


def test_what_has_no_known_axes_stays_as_it_is_stored():
    cohort = phantom_cohort(2, max_scans=6)
    case = cohort.labelled[0]
    assert case.axes == ""
    shown = pictures_of(figures.cohort_grid(cohort, n=1))[0]
    np.testing.assert_array_equal(shown[0], case.image[len(case.image) // 2])


def test_scans_of_a_folder_stand_upright_whatever_their_files_say(tmp_path):
    cohort = cohort_of(write_organs(tmp_path))
    assert {case.axes for case in cohort.cases} == {"xyz"}
    for image, classes in pictures_of(figures.cohort_grid(cohort, n=2))[:2]:
        assert image.shape == (22, 24), "as wide as x, as high as y"
        rows, columns = np.nonzero(np.ma.filled(classes, 0))
        assert columns.mean() > 0.55 * 24, "the organ lies on the right"
        front = np.nonzero(np.ma.filled(classes, 0) == 1)[0]
        assert front.mean() < rows.mean(), "its front is above"


def test_stacks_of_slices_stand_upright_too(tmp_path):
    cohort = cohort_of(write_folder(tmp_path, as_slices_of_two_sizes))
    assert cohort.dimensions == 2 and {case.axes for case in cohort.cases} == {"zxy"}
    case = cohort.labelled[0]
    seed = int(case.case_id[1:])
    image = organ(seed, case.image.shape[1:] + case.image.shape[:1])[0]
    cut = figures.choose_slice(case.image, axes=case.axes)
    shown = cut.of(case.image)
    expected = image[:, :, cut.index].T[::-1]
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.999


def test_a_picture_is_as_wide_as_its_file_with_its_first_row_above(tmp_path):
    cohort = cohort_of(write_folder(tmp_path, as_pictures))
    case = cohort.labelled[0]
    pixels, label = flat_organ(int(case.case_id[1:]), case.image.shape[:0:-1])
    image, classes = pictures_of(figures.cohort_grid(cohort, n=1))[0]
    assert image.shape == pixels.shape and image.shape[0] != image.shape[1]
    assert np.corrcoef(image.ravel(), pixels.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(np.ma.filled(classes, 0), label)
    truth, found = ({case.case_id: case.label} for _ in range(2))
    for row in pictures_of(figures.prediction_grid([case], truth, {"bcp": found}, "abc")):
        np.testing.assert_array_equal(np.ma.filled(row[1], 0), label)


def test_interactive_figures_turn_scan_truth_and_predictions_together(tmp_path):
    cohort = cohort_of(write_folder(tmp_path, as_slices_of_two_sizes))
    case = cohort.labelled[0]
    shown = shown_slice(case, case.label)
    one = _picture("a", shown, case.label, [case.label, 2 * (case.label > 0)])
    expected = case.label[shown.cut.index].T[::-1]
    np.testing.assert_array_equal(one["truth"], expected)
    np.testing.assert_array_equal(one["maps"], [expected, 2 * (expected > 0)])
    grey = case.image[shown.cut.index].T[::-1]
    assert np.corrcoef(shown.grey.ravel(), grey.ravel())[0, 1] > 0.99
    for at, slice_ in enumerate(all_slices(case)):
        np.testing.assert_array_equal(slice_.classes(case.label), case.label[at].T[::-1])


@pytest.mark.parametrize("axes", ["zxy", "yxz"])
def test_the_surface_of_a_stack_stands_as_that_of_a_volume(axes):
    """Width, depth and height of an organ of 4 x 8 x 12 mm, and its triangles from outside."""
    label = np.zeros((10, 14, 18), np.uint8)
    label[3:7, 3:11, 3:15] = 1
    order = ["xyz".index(name) for name in axes]
    truth = label.transpose(order)
    case = Case("a", "a", truth.astype(np.float32), (1.0, 1.0, 1.0), axes=axes)
    shown = _Shown.of(phantom_cohort(2, max_scans=6), case, truth, {"bcp": truth})
    one = shown.truth[0]
    size = np.ptp(one.vertices, axis=0)
    assert size.argsort().tolist() == [0, 1, 2] and shown.stands
    a, b, c = (one.vertices[one.triangles[:, k]] for k in range(3))
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0, "anticlockwise from outside"
    pairs = one.triangles.reshape(-1, 2, 3)
    assert (pairs[:, 0, 2] == pairs[:, 1, 0]).all() and (pairs[:, 0, 0] == pairs[:, 1, 2]).all()
    assert not shown.rows["bcp"].at_vertices()[0].any()
