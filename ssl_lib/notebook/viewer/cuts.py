"""The three pictures of a volume: which voxel a pixel shows, window and level, labels, lines.

All arithmetic from voxel to pixel is in whole numbers, so that `viewer.js` draws the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt8, UInt32

from ssl_lib.figures.slices import shared_window
from ssl_lib.figures.style import CLASS_COLOURS, YELLOW
from ssl_lib.utils.errors import InputError

Point = tuple[int, int, int]
Picture = UInt8[np.ndarray, "row column 3"]


class View(NamedTuple):
    """A cut through `axis`; its other axes run from left to right and upwards."""

    name: str
    axis: int
    across: int
    up: int
    words: str


VIEWS = (
    View("axial", 2, 0, 1, "right →, front ↑"),
    View("coronal", 1, 0, 2, "right →, top ↑"),
    View("sagittal", 0, 1, 2, "front →, top ↑"),
)
TOTAL_WIDTH, MOST_HEIGHT = 1440, 840  # pixels of all views together; twice what a page shows
LINE, HALO, DASH = 2, 4, 6  # pixels: outline, its dark rim, dashes
THIN, GAP = 2, 14  # pixels: half a line of the cross, half the hole in its middle
STEPS = 100  # positions of the sliders of window and level
LOWEST = -1024.0  # Hounsfield units
AIR = -500.0  # Hounsfield units; a scan whose percentile 1 lies below is taken for CT
CT_WINDOW, CT_LEVEL = 400.0, 40.0  # of soft tissue
CT_STEPS = (10.0, 20.0, 25.0, 40.0)  # of the sliders of a CT scan; the window is a multiple of each
COLOURS = [tuple(bytes.fromhex(colour[1:])) for colour in CLASS_COLOURS]
LINE_BIT, HALO_BIT, WHITE_BIT, CROSS_BIT = 8, 16, 32, 64  # above the three bits of a class
COLOUR_OF_CLASS = np.array([0, *(1 + index % len(COLOURS) for index in range(255))], np.uint8)
CROSS = tuple(bytes.fromhex(YELLOW[1:]))


@dataclass(frozen=True)
class Look:
    """What the controls say: window and level in `STEPS` of the grey range, fill in percent."""

    window: int
    level: int
    fill: int = 40
    truth: bool = True
    prediction: bool = True


@dataclass(frozen=True)
class Scan:
    """A volume with its voxel size in mm and, where there are any, true and predicted classes.

    The `unit` of a picture is the pixel: it has no patient whose right and front could be named.
    """

    image: Shaped[np.ndarray, "x y z"]
    spacing: Sequence[float]
    truth: UInt8[np.ndarray, "x y z"] | None = None
    prediction: UInt8[np.ndarray, "x y z"] | None = None
    unit: Literal["mm", "pixel"] = "mm"

    def check(self, class_names: Sequence[str], where: str | None = None) -> None:
        """Raises `InputError` unless all parts fit each other and the names of the classes."""
        shape = np.shape(self.image)
        if len(shape) != 3 or 0 in shape:
            raise InputError(
                f"the image has the shape {shape}", where=where, expected="a volume with three axes"
            )
        if len(self.spacing) != 3 or not all(0 < size < np.inf for size in self.spacing):
            raise InputError(
                f"the voxel size is {tuple(self.spacing)}",
                where=where,
                expected="three sizes in mm",
            )
        if not np.isfinite(self.image).all():
            raise InputError(
                "the image holds voxels that are no numbers", where=where, fix="np.nan_to_num"
            )
        for name, label in (("truth", self.truth), ("prediction", self.prediction)):
            if label is None:
                continue
            if np.shape(label) != shape:
                raise InputError(
                    f"the {name} has the shape {np.shape(label)}",
                    where=where,
                    expected=f"{shape}, the shape of the image",
                )
            extra = np.setdiff1d(label, np.arange(len(class_names)))
            if extra.size:
                raise InputError(
                    f"the {name} holds the value {extra[0]}",
                    where=where,
                    expected=f"0 to {len(class_names) - 1}, one for each of the class names",
                )

    @cached_property
    def is_ct(self) -> bool:
        """Whether the grey levels are taken for Hounsfield units: there is air among them."""
        return bool(np.percentile(np.asarray(self.image, np.float32), 1) < AIR)

    @cached_property
    def greys(self) -> tuple[UInt8[np.ndarray, "x y z"], float, float]:
        """The image in 256 steps, and the grey levels of the first and the last of them.

        They reach from percentile 0.05 to 99.95, and beyond by half: single voxels that are far
        brighter do not take the steps away from all others. Of a CT scan see `_ct_range`.
        """
        image = np.asarray(self.image, np.float32)
        low, high = (float(value) for value in np.percentile(image, (0.05, 99.95)))
        spare = (high - low) / 2
        low, high = max(low - spare, float(image.min())), min(high + spare, float(image.max()))
        if self.is_ct:
            low, high = _ct_range(low, high)
        scale = 255 / (high - low) if high > low else 0.0
        steps = np.clip((image - low) * scale + 0.5, 0, 255).astype(np.uint8)
        return steps, low, high if high > low else low + 1

    @property
    def judged(self) -> UInt8[np.ndarray, "x y z"] | None:
        """What is looked at first: the prediction, else the truth."""
        return self.truth if self.prediction is None else self.prediction

    def start(self) -> Point:
        """A voxel of the organ: in its largest axial cut, nearest to the middle of it there."""
        organ = None if self.judged is None else np.asarray(self.judged) > 0
        if organ is None or not organ.any():
            x, y, z = (side // 2 for side in self.image.shape)
            return x, y, z
        height = int(organ.sum(axis=(0, 1)).argmax())
        places = np.argwhere(organ[:, :, height])
        x, y = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        return int(x), int(y), height

    def first_look(self) -> Look:
        """Window and level that show the grey levels from percentile 0.5 to 99.5, of a CT scan
        those of soft tissue: between air and bone organs would all be of one grey."""
        _, low, high = self.greys
        soft = (CT_LEVEL - CT_WINDOW / 2, CT_LEVEL + CT_WINDOW / 2)
        shown = soft if self.is_ct else shared_window([self.image])
        black, white = ((grey - low) / (high - low) for grey in shown)
        window = round(STEPS * (white - black))
        return Look(min(max(window, 1), STEPS), round(STEPS * (white + black) / 2))

    @property
    def shown(self) -> list[int]:
        """Which of the `VIEWS` are shown: of a single slice only that one, no lines one voxel high;
        three, or one."""
        flat = [self.image.shape[view.axis] == 1 for view in VIEWS]
        return [flat.index(True)] if sum(flat) == 1 else [0, 1, 2]

    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of the three pictures in pixels, all in one scale."""
        mm = [n * size for n, size in zip(self.image.shape, self.spacing, strict=True)]
        widths, heights = ([mm[getattr(view, side)] for view in VIEWS] for side in ("across", "up"))
        room = sum(widths[view] for view in self.shown), max(heights[view] for view in self.shown)
        scale = min(TOTAL_WIDTH / room[0], MOST_HEIGHT / room[1])
        return [
            (max(round(width * scale), 1), max(round(height * scale), 1))
            for width, height in zip(widths, heights, strict=True)
        ]


def _ct_range(low: float, high: float) -> tuple[float, float]:
    """Grey levels of a CT scan in the finest `CT_STEPS` that hold them: window and level of soft
    tissue are positions of the sliders. Padding below air is shown as the lowest of them, and what
    is brighter than bone as the highest, so that organs keep their grey steps."""
    for step in CT_STEPS:
        below = math.ceil((CT_LEVEL - max(low, LOWEST)) / step)
        first = CT_LEVEL - below * step
        last = first + STEPS * step
        if last >= max(high, CT_LEVEL + CT_WINDOW / 2):
            break
    return first, last


def grey_table(look: Look) -> UInt8[np.ndarray, "256"]:
    """The brightness of each grey step: 0 at level - window / 2, 255 at level + window / 2."""
    steps = np.arange(256) * STEPS * 2 - 255 * (2 * look.level - look.window)
    return np.clip((steps + look.window) // (2 * look.window), 0, 255).astype(np.uint8)


def draw_view(scan: Scan, view: View, size: tuple[int, int], point: Point, look: Look) -> Picture:
    """One cut through `point` with the outlines of the classes and the lines of the other cuts.

    What is judged is filled with the colours of the classes: the prediction (dashed), with the
    truth as a white line, or else the truth.
    """
    (width, height), shape = size, scan.image.shape
    columns = (2 * np.arange(width) + 1) * shape[view.across] // (2 * width)
    rows = shape[view.up] - 1 - (2 * np.arange(height) + 1) * shape[view.up] // (2 * height)

    def cut(volume: Shaped[np.ndarray, "x y z"]) -> UInt8[np.ndarray, "row column"]:
        plane = np.take(volume, point[view.axis], axis=view.axis).astype(np.uint8)
        return np.take(np.take(plane.T, rows, axis=0), columns, axis=1)

    truth = cut(scan.truth) if scan.truth is not None and look.truth else None
    found = cut(scan.prediction) if scan.prediction is not None and look.prediction else None
    judged = truth if found is None else found
    layers = cross((height, width), scan, view, point) * np.uint8(CROSS_BIT)
    if judged is not None:
        layers |= COLOUR_OF_CLASS[judged]
        layers |= (outline(judged, LINE) & _dashes(judged, found is not None)) * np.uint8(LINE_BIT)
    if truth is not None and found is not None:
        layers |= outline(truth, HALO) * np.uint8(HALO_BIT)
        layers |= outline(truth, LINE) * np.uint8(WHITE_BIT)
    colours = mixed_colours(look.window, look.level, look.fill)
    pixels = colours[layers.astype(np.uint16) << 8 | cut(scan.greys[0])]
    return pixels.view(np.uint8).reshape(height, width, 4)[..., :3]


@lru_cache(maxsize=8)
def mixed_colours(window: int, level: int, fill: int) -> UInt32[np.ndarray, "32768"]:
    """The colour of each pile of layers over each grey step, four bytes each.

    From below: the grey level, the fill of a class, its line, the dark rim and the white line of
    the truth, the lines of the other cuts.
    """
    layers = np.arange(128)[:, None, None]
    classes = np.array([(0, 0, 0), *COLOURS])[layers[..., 0] & 7]
    greys = grey_table(Look(window, level)).astype(int)[:, None]
    colour = np.broadcast_to(greys, (128, 256, 3))
    for there, above, percent in (
        (layers & 7, classes, fill),
        (layers & LINE_BIT, classes, 100),
        (layers & HALO_BIT, 0, 65),
        (layers & WHITE_BIT, 255, 100),
        (layers & CROSS_BIT, np.array(CROSS), 80),
    ):
        mixed = (colour * (100 - percent) + above * percent + 50) // 100
        colour = np.where(there > 0, mixed, colour)
    four = np.concatenate([colour, np.full((128, 256, 1), 255)], axis=2)
    return np.ascontiguousarray(four.astype(np.uint8)).view(np.uint32).ravel()


def outline(label: Shaped[np.ndarray, "row column"], reach: int) -> Bool[np.ndarray, "row column"]:
    """Pixels of a class from which another class, or the edge of the picture, is in reach."""
    padded = np.pad(label, reach)
    same = np.ones(label.shape, bool)
    height, width = label.shape
    for row, column in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach)):
        same &= padded[row : row + height, column : column + width] == label
    return (label > 0) & ~same


def cross(
    size: tuple[int, int], scan: Scan, view: View, point: Point
) -> Bool[np.ndarray, "row column"]:
    """Where the other two cuts lie; a hole leaves the voxel itself free."""
    height, width = size
    nx, ny = scan.image.shape[view.across], scan.image.shape[view.up]
    column = (2 * point[view.across] + 1) * width // (2 * nx)
    row = (2 * (ny - 1 - point[view.up]) + 1) * height // (2 * ny)
    rows, columns = np.abs(np.arange(height) - row), np.abs(np.arange(width) - column)
    vertical = (columns < THIN)[None] & (rows > GAP)[:, None]
    return vertical | ((rows < THIN)[:, None] & (columns > GAP)[None])


def _dashes(label: Shaped[np.ndarray, "row column"], dashed: bool) -> Bool[np.ndarray, "..."]:
    rows, columns = (np.arange(side) for side in label.shape)
    return ((rows[:, None] + columns) // DASH % 3 > 0) if dashed else np.ones(label.shape, bool)
