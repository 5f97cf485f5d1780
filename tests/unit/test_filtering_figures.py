"""Pictures of trees and filtered scans: what they state must be what they were given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from ssl_lib.figures import (
    SignalTree,
    error_maps,
    filter_frame,
    filtered_views,
    overlap_comparison,
    show,
    signal_trees,
    surviving_edges,
    to_png,
    versions_seen,
)
from ssl_lib.figures.filtering import MISTAKES, pair_name
from ssl_lib.figures.style import BLUE, CLASS_COLOURS, VERMILLION, YELLOW
from ssl_lib.utils.errors import InputError

CLASSES = ("background", "pool", "muscle")


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(-8, 9, (16, 24)) / 4.0


@pytest.fixture
def label() -> np.ndarray:
    label = np.zeros((16, 24), np.uint8)
    label[4:9, 5:12] = 1
    label[10:13, 5:20] = 2
    return label


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def chain() -> tuple[np.ndarray, SignalTree]:
    """0 1 2 0: the root, its only child, and its child's only child."""
    node = [np.array(x) for x in ([2, 1, 0], [2, 2, 3], [2, 1, 0], [1, 2, 2])]
    return np.array([0, 1, 2, 0]), SignalTree(*node, removed=np.array([True, True, False]))


def test_the_signal_states_how_many_nodes_there_were_and_are() -> None:
    signal, tree = chain()
    figure = signal_trees(signal, {"Max-tree": (tree, signal * 0)})
    assert titles(figure) == ["Max-tree: 3 nodes", "filtered: 1 node left"]
    hollow = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2 and len(to_png(figure)) < 200_000


def test_views_say_what_was_taken_away_and_what_was_filled(picture, label) -> None:
    filtered = {"Max-filtered": picture - 0.5, "Min-filtered": picture + 0.25}
    figure = filtered_views(picture, filtered, label=label, class_names=CLASSES)
    assert titles(figure)[:3] == ["scan", "Max-filtered", "Min-filtered"]
    assert titles(figure)[3:6] == ["the organ", "taken away", "filled"]
    below = figure.axes[4:6]
    span = np.ptp(picture)
    assert {ax.images[0].get_clim() for ax in below} == {(0.0, 50 / span)}
    assert np.allclose(below[1].images[0].get_array(), 25 / span)


def test_edges_lie_between_their_two_pixels_and_are_counted(picture) -> None:
    kept = np.array([[2, 3, 2, 4], [5, 5, 6, 5]])
    erased = np.array([[0, 0, 0, 1]])
    figure = surviving_edges(picture, {"Max-filtered": (kept, erased)})
    (ax,) = figure.axes
    assert ax.get_xlabel() == "67\N{NO-BREAK SPACE}% of 3 edges kept"
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    first, second = lines[1].get_segments()
    assert first.tolist() == [[3.5, 1.5], [3.5, 2.5]]  # x, y: upright between columns 3 and 4
    assert second.tolist() == [[4.5, 5.5], [5.5, 5.5]]
    assert (
        "0\N{NO-BREAK SPACE}% of 0 edges"
        in surviving_edges(picture, {"": (kept[:0],) * 2}).axes[0].get_xlabel()
    )


def test_each_network_has_a_row_and_each_sample_its_version(picture) -> None:
    seen = [[("scan", picture), ("Max", picture)], [("scan", picture), ("Min", picture)]]
    figure = versions_seen(seen)
    assert titles(figure) == ["scan", "Max", "scan", "Min"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["network 1", "", "network 2", ""]


def test_mistakes_of_one_the_other_and_both_are_told_apart(picture, label) -> None:
    first, second = label.copy(), label.copy()
    first[0, :3] = 1
    second[0, 2:5] = 2
    figure = error_maps(picture, label, {"dsaif": (first, second)}, {"dsaif": 1 / 3}, CLASSES)
    assert titles(figure) == ["network 1", "network 2", "mistakes"]
    last = figure.axes[2]
    assert last.get_xlabel() == "overlap 0.33"
    assert last.images[1].get_array().filled(0)[0, :6].tolist() == [1, 1, 3, 2, 2, 0]
    legend = {t.get_text(): h for t, h in zip(figure.legends[0].get_texts(),
              figure.legends[0].legend_handles, strict=True)}  # fmt: skip
    for name, colour in (("only network 1 wrong", YELLOW), ("only network 2 wrong", BLUE)):
        assert matches(legend[name].get_facecolor(), colour)
    assert matches(legend["both wrong"].get_facecolor(), VERMILLION)


def matches(colour: tuple[float, ...], code: str) -> bool:
    return "#" + "".join(f"{round(255 * part):02X}" for part in colour[:3]) == code


def test_overlaps_show_every_scan_and_the_mean_of_all() -> None:
    values = {"dsaif": np.array([[0.2, 0.4], [0.3, 0.5]]), "supervised_pair_ensemble": np.eye(2)}
    figure = overlap_comparison(values)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["0.350", "0.500"]
    assert sorted(ax.get_lines()[0].get_xdata()) == [0.2, 0.3, 0.4, 0.5]
    assert ax.get_lines()[0].get_marker() != ax.get_lines()[3].get_marker()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [
        "Structure-aware\nfiltering (DSAIF)\n2 seeds",
        "Two supervised networks\n2 seeds",
    ]
    with_gap = {"dsaif": np.array([[0.2, np.nan, 0.4], [np.nan] * 3])}
    (ax,) = overlap_comparison(with_gap).axes
    assert [text.get_text() for text in ax.texts] == ["0.300"]
    assert ax.get_yticklabels()[0].get_text().endswith("1 seed")


def test_pairs_of_networks_are_told_apart_by_name() -> None:
    rows = ("dsaif", "dsaif_only_child", "dsaif_same_tree", "dsaif_blur", "dsaif_ablation_ensemble")
    names = [pair_name(row) for row in rows]
    assert len(set(names)) == len(rows) and names[-1] == "Cross pseudo supervision (CPS)"


def test_a_picture_without_words_is_refused(picture) -> None:
    with pytest.raises(InputError, match="alternative text"):
        show(filter_frame({"scan": picture}), alt=" ")


def test_mistakes_wear_no_colour_of_a_class():
    assert not set(MISTAKES) & set(CLASS_COLOURS[:4])


def test_a_filtered_scan_has_a_grey_window_of_its_own():
    scan = np.linspace(0, 1, 400).reshape(20, 20)
    figure = filter_frame({"scan": scan, "Max": 10 + scan})
    windows = [ax.images[0].get_clim() for ax in figure.axes]
    assert titles(figure) == ["scan", "Max"]
    assert windows[1][0] > 9 > windows[0][1]
