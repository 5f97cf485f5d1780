"""What unlabelled points teach, and when they mislead: two clouds, a few labels, a movable gap."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from ssl_lib.figures.style import CLASS_COLOURS, house_style, new_figure
from ssl_lib.notebook.interactive.page import show_interactive
from ssl_lib.utils.words import percent

POINTS, DRAWS, GAP = 160, 12, 0.9
NEIGHBOURS, PASSED_ON, ROUNDS = 8, 0.95, 100
NAMES = ("class one", "class two")


def assumption(seed: int = 0, *, alt: str) -> None:
    """Shows two clouds of points, classified by the nearest labelled point and by label spreading.

    The reader sets the gap between the clouds, the number of labelled points and their draw, and
    whether the classes are the clouds, or a border cuts through both of them.
    """
    base, cloud = clouds(seed)
    random = np.random.default_rng(seed + 1)
    data: dict[str, Any] = {
        "base": base.astype(np.float32),
        "cloud": cloud.astype(np.uint8),
        "cut": float(np.median(base[:, 0])),
        "orders": np.stack([random.permutation(POINTS) for _ in range(DRAWS)]).astype(np.uint8),
        "gap": GAP,
        "neighbours": NEIGHBOURS,
        "passedOn": PASSED_ON,
        "rounds": ROUNDS,
        "colours": list(CLASS_COLOURS[:2]),
        "names": list(NAMES),
    }
    stored = _stored(base, cloud, data["orders"][0])
    show_interactive("assumption", data, alt=alt, label="Labels and clouds", stored=stored)


def clouds(seed: int) -> tuple[Float[np.ndarray, "point 2"], Int[np.ndarray, " point"]]:
    """Points of two half circles with noise, not yet apart by a gap, and the cloud of each."""
    random = np.random.default_rng(seed)
    cloud = np.arange(POINTS) % 2
    angle = random.uniform(0, np.pi, POINTS)
    x = np.where(cloud == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(cloud == 0, np.sin(angle), 0.8 - np.sin(angle))
    return np.stack([x, y], 1) + random.normal(0, 0.09, (POINTS, 2)), cloud


def with_gap(
    base: Float[np.ndarray, "point 2"], cloud: Int[np.ndarray, " point"], gap: float
) -> Float[np.ndarray, "point 2"]:
    """The points with the second cloud moved down by `gap`."""
    return base - np.outer(cloud, (0, gap))


def nearest_label(
    points: Float[np.ndarray, "point 2"],
    classes: Int[np.ndarray, " point"],
    labelled: Bool[np.ndarray, " point"],
) -> Int[np.ndarray, " point"]:
    """Labels only: each point gets the class of the nearest labelled one."""
    return classes[labelled][cdist(points, points[labelled]).argmin(1)]


def spread_labels(
    points: Float[np.ndarray, "point 2"],
    classes: Int[np.ndarray, " point"],
    labelled: Bool[np.ndarray, " point"],
) -> Int[np.ndarray, " point"]:
    """Label spreading (Zhou and colleagues, NeurIPS 2003): in each round a point keeps a share of
    its own label and takes the rest from its nearest neighbours, labelled or not.

    F <- a S F + (1 - a) Y with S = D^-1/2 W D^-1/2; W is 1 between a point and its `NEIGHBOURS`
    nearest, in both directions.
    """
    distance = cdist(points, points)
    np.fill_diagonal(distance, np.inf)
    near = np.zeros_like(distance)
    np.put_along_axis(near, distance.argsort(1, kind="stable")[:, :NEIGHBOURS], 1, 1)
    near = np.maximum(near, near.T)
    degree = near.sum(1)
    steps = near / np.sqrt(np.outer(degree, degree))
    known = np.where(labelled[:, None], np.eye(len(NAMES))[classes], 0.0)
    found = known
    for _ in range(ROUNDS):
        found = PASSED_ON * steps @ found + (1 - PASSED_ON) * known
    return found.argmax(1)


@house_style()
def _stored(
    base: Float[np.ndarray, "point 2"], cloud: Int[np.ndarray, " point"], order: np.ndarray
) -> Figure:
    """Both rules beside each other, for classes that are clouds: for pages without a script."""
    points, labelled = with_gap(base, cloud, GAP), np.zeros(POINTS, bool)
    labelled[[order[cloud[order] == k][0] for k in (0, 1)]] = True
    figure = new_figure(height=2.9)
    rules = {"labels only": nearest_label, "with unlabelled points": spread_labels}
    for ax, (name, rule) in zip(figure.subplots(1, 2), rules.items(), strict=True):
        found = rule(points, cloud, labelled)
        ax.scatter(*points.T, c=np.array(CLASS_COLOURS)[found], s=14)
        ax.scatter(*points[labelled].T, facecolors="none", edgecolors="black", s=90)
        ax.set(title=f"{name}: {percent((found == cloud).mean())} right", xticks=[], yticks=[])
        ax.grid(False)
    return figure
