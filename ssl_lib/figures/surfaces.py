"""The surface of an organ in 3D, and how far each part of it lies from the true surface.

Distances are those of `evaluation.metrics`: from the centre of each voxel of the predicted surface
to that of the nearest voxel of the true surface. Surfaces are drawn as surface nets (Gibson,
"Constrained elastic surface nets", MICCAI 1998): one vertex in every cell of eight grid points that
the surface crosses, one quadrilateral for every crossed edge of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LightSource, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy import ndimage
from scipy.spatial import cKDTree

from ssl_lib.evaluation.metrics import surface, surface_distances
from ssl_lib.figures.style import house_style, new_figure

MOST_TRIANGLES = 2500  # of all classes of one label map
MOST_ISLANDS = 20  # of one class; smaller ones may be lost when a surface is made coarser
DIVERGING = ("#2b6fbf", "#8db8e0", "#e4e4e4", "#efa56f", "#c8431a")  # too far inside ... outside

Mask = Bool[np.ndarray, "i j k"]
Label = UInt8[np.ndarray, "i j k"]


@dataclass(frozen=True)
class Distances:
    """Voxels of a predicted surface: where they are, and how far from the true surface.

    Both in the unit of the spacing. Positive outside the truth, negative inside.
    """

    places: Float[np.ndarray, "voxel 3"]
    signed: Float[np.ndarray, " voxel"]

    def at(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " point"]:
        """For each point the distance of the surface voxel that is nearest to it."""
        return self.signed[cKDTree(self.places).query(points)[1]]


def signed_distances(prediction: Mask, truth: Mask, spacing: Sequence[float]) -> Distances:
    """The distances from the prediction's surface; both masks must hold a voxel."""
    to_truth, _ = surface_distances(prediction, truth, spacing=spacing)
    box = ndimage.find_objects((prediction | truth).astype(np.uint8))[0]
    voxels = np.argwhere(surface(prediction[box])) + [side.start for side in box]
    signs = np.where(truth[tuple(voxels.T)], -1.0, 1.0)
    return Distances(voxels * np.asarray(spacing, float), signs * to_truth)


@dataclass(frozen=True)
class Surface:
    """Triangles by the numbers of their vertices, anticlockwise as seen from outside.

    Two neighbours in the list, (a, b, c) and (c, d, a), are one quadrilateral.
    """

    vertices: Float[np.ndarray, "vertex 3"]
    triangles: Int[np.ndarray, "triangle 3"]

    def along(self, axes: Sequence[int]) -> Surface:
        """The same surface with its axes in another order, still anticlockwise from outside."""
        mirrors = np.linalg.det(np.eye(3)[list(axes)]) < 0
        corners = self.triangles[:, ::-1] if mirrors else self.triangles
        return Surface(self.vertices[:, list(axes)], corners)


def surfaces_of(
    labels: Sequence[Label], n_classes: int, spacing: Sequence[float], stack: bool = False
) -> tuple[list[list[Surface]], float]:
    """The surface of each foreground class of each label map, and the step of their grid.

    The grid is as fine as the voxels, or as much coarser as `MOST_TRIANGLES` asks for; one grid for
    all maps. In a `stack` the slices (first axis) stay as they are, with the steps between them.
    """
    sizes = np.asarray(spacing, float)
    step = min(sizes) * max(1.0, 0.8 * (2 * _most_faces(labels) / MOST_TRIANGLES) ** 0.5)
    while True:
        fields = [_Grid(label, sizes, step, stack) for label in labels]
        found = [[one.surface_of(k) for k in range(1, n_classes)] for one in fields]
        most = max(sum(len(one.triangles) for one in parts) for parts in found)
        if most <= MOST_TRIANGLES:
            return found, float(step)
        step *= max(1.03, min((most / MOST_TRIANGLES) ** 0.5, 2.0))


@dataclass(frozen=True)
class _Grid:
    """A label map, and the step of the grid on which its surfaces are looked for."""

    label: Label
    spacing: Float[np.ndarray, "3"]
    step: float
    stack: bool

    @property
    def steps(self) -> Float[np.ndarray, "3"]:
        steps = np.maximum(self.spacing, self.step)
        return np.array([self.spacing[0], *steps[1:]]) if self.stack else steps

    def surface_of(self, index: int) -> Surface:
        """The surface of one class, in the unit of the spacing."""
        mask = self.label == index
        if not mask.any():
            return Surface(np.zeros((0, 3)), np.zeros((0, 3), int))
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        field = np.pad(self._field(mask[box]), 1)
        cells, triangles = surface_net(field, steps=self.stack)
        first = np.array([side.start for side in box]) * self.spacing
        return Surface(first + (cells - 1 - self._margin()) * self.steps, triangles)

    def _margin(self) -> Float[np.ndarray, "3"]:
        return np.array([0.0 if self.stack else 1.0, 1.0, 1.0])

    def _field(self, mask: Mask) -> Float[np.ndarray, "*grid"]:
        """How much of each grid point's neighbourhood is organ; no island falls below one half."""
        islands, count = ndimage.label(mask)
        sizes = np.bincount(islands.ravel(), minlength=count + 1)[1:]
        large = np.argsort(-sizes, kind="stable")[:MOST_ISLANDS] + 1
        field = self._sampled(~np.isin(islands, [0, *large]))
        for island in large:
            part = self._sampled(islands == island)
            field += part * max(1.0, 0.75 / max(part.max(), 1e-6))
        return field

    def _sampled(self, mask: Mask) -> Float[np.ndarray, "*grid"]:
        """The mask, smoothed over half a step and read at the points of the grid around it."""
        ratio, margin = self.steps / self.spacing, self._margin()
        counts = np.ceil((np.array(mask.shape) - 1) / ratio - 1e-9).astype(int) + 1
        found = np.zeros(counts + 2 * margin.astype(int))
        if not mask.any():
            return found
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        wide = np.ceil(2 * margin * ratio).astype(int)
        soft = np.pad(mask[box].astype(np.float64), [(int(w), int(w)) for w in wide])
        soft = ndimage.gaussian_filter(soft, 0.45 * ratio * margin, mode="constant")
        near, axes = [], []
        for side, scale, edge, w, n in zip(box, ratio, margin, wide, found.shape, strict=True):
            places = (np.arange(n) - edge) * scale - side.start + w  # in voxels of the padded box
            within = np.flatnonzero((places > -1) & (places < side.stop - side.start + 2 * w))
            near.append(slice(int(within[0]), int(within[-1]) + 1) if len(within) else slice(0, 0))
            axes.append(places[near[-1]])
        points = np.meshgrid(*axes, indexing="ij")
        found[tuple(near)] = ndimage.map_coordinates(soft, points, order=1, mode="constant")
        return found


def _most_faces(labels: Sequence[Label]) -> int:
    """The largest number of voxel faces between two classes in any of the maps, both sides."""
    return max(
        sum(
            int(np.count_nonzero(a != b) + np.count_nonzero((a != b) & (a > 0) & (b > 0)))
            for a, b in ((np.delete(x, 0, k), np.delete(x, -1, k)) for k in range(3))
        )
        for x in labels
    )


def surface_net(
    field: Float[np.ndarray, "i j k"], level: float = 0.5, steps: bool = False
) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "triangle 3"]]:
    """Vertices (in grid points) and triangles where the field crosses the level.

    The field must be below the level along its border. With `steps` vertices lie half way between
    the slices of the first axis.
    """
    inside = field >= level
    total = np.zeros((*(side - 1 for side in field.shape), 3))
    count = np.zeros(total.shape[:3], int)
    crossings = [_crossings(field, inside, level, axis) for axis in range(3)]
    for axis, (crossed, part) in enumerate(crossings):
        for one in (0, 1):
            for two in (0, 1):
                corner = np.insert([one, two], axis, 0)
                near = tuple(slice(c, c + n) for c, n in zip(corner, count.shape, strict=True))
                count += crossed[near]
                offset = np.stack([np.full(count.shape, float(c)) for c in corner], axis=-1)
                offset[..., axis] = part[near]
                total += offset * crossed[near][..., None]
    used = count > 0
    numbers = np.cumsum(used).reshape(used.shape) - 1
    vertices = np.argwhere(used) + total[used] / count[used][:, None]
    if steps:
        vertices[:, 0] = np.argwhere(used)[:, 0] + 0.5
    return vertices, _triangles([crossed for crossed, _ in crossings], inside, numbers)


def _crossings(
    field: np.ndarray, inside: np.ndarray, level: float, axis: int
) -> tuple[Bool[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """For each edge along an axis: is it crossed, and at which part of its length?"""
    low, high = (np.delete(field, end, axis) for end in (-1, 0))
    crossed = np.delete(inside, -1, axis) != np.delete(inside, 0, axis)
    change = np.where(crossed, high - low, 1.0)
    return crossed, np.where(crossed, (level - low) / change, 0.0)


def _triangles(
    crossings: Sequence[np.ndarray], inside: np.ndarray, numbers: np.ndarray
) -> Int[np.ndarray, "triangle 3"]:
    """Two triangles around every crossed edge, through the vertices of its four cells."""
    found = []
    for axis, crossed in enumerate(crossings):
        at = np.argwhere(crossed)
        one, two = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
        around = [numbers[tuple((at - back).T)] for back in (one + two, two, 0 * one, one)]
        quads = np.stack(around, axis=1)
        outwards = inside[tuple(at.T)]
        found.append(np.where(outwards[:, None], quads, quads[:, ::-1]))
    quads = np.concatenate(found)
    return quads[:, [[0, 1, 2], [2, 3, 0]]].reshape(-1, 3)


@house_style()
def surface_panels(
    parts: Mapping[str, Sequence[tuple[Surface, Float[np.ndarray, " vertex"]]]],
    clip: float,
    unit: str,
    turn: tuple[float, float] = (20.0, 40.0),
) -> Figure:
    """One panel a row: its surfaces, coloured by the distance of each vertex to the truth."""
    figure = new_figure(height=3.2)
    colours = ScalarMappable(
        Normalize(-clip, clip), LinearSegmentedColormap.from_list("distance", DIVERGING)
    )
    axes = [
        figure.add_subplot(1, len(parts), n + 1, projection="3d", elev=turn[0], azim=turn[1])
        for n in range(len(parts))
    ]
    for ax, (name, surfaces) in zip(axes, parts.items(), strict=True):
        ax.set_title(fill(name, 30))
        _draw_surfaces(ax, surfaces, colours)
    label = f"distance to the true surface in {unit}: inside (−), outside (+)"
    figure.colorbar(colours, ax=axes, location="bottom", shrink=0.5, aspect=40, label=label)
    return figure


def _draw_surfaces(
    ax: Axes3D, surfaces: Sequence[tuple[Surface, np.ndarray]], colours: ScalarMappable
) -> None:
    """Triangles in the colours of their mean distance, shaded, in equal scales."""
    known = [(one, far) for one, far in surfaces if len(one.triangles)]
    ax.set_axis_off()
    if not known:
        return
    corners = np.concatenate([one.vertices[one.triangles] for one, _ in known])
    means = np.concatenate([far[one.triangles].mean(axis=1) for one, far in known])
    shown = Poly3DCollection(
        corners, facecolors=colours.to_rgba(means), shade=True, lightsource=LightSource(300, 50)
    )
    ax.add_collection3d(shown)
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    ax.set_box_aspect(np.maximum(high - low, 1e-6), zoom=1.25)
