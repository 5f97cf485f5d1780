"""One look for every figure: fonts, colours, and how a figure reaches the reader.

Figures are 7.2 inches wide and stay legible when a page shows them 720 pixels wide. The background
is light on every page: a figure is a card. Classes wear the colours of Okabe and Ito, which
colour-blind readers tell apart; scalars are shown in cividis. Nothing is told by colour alone.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from IPython.display import display
from jaxtyping import UInt8
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.text import Text
from mpl_toolkits.mplot3d.axes3d import Axes3D
from PIL import Image
from scipy.spatial import cKDTree

from ssl_lib.evaluation.results import smoke_note
from ssl_lib.methods import METHODS, ROW_NAMES, base_row
from ssl_lib.utils.errors import InputError

WIDTH = 7.2
NARROW = 5.0  # of a figure whose words stay legible on a telephone, 390 pixels wide
DPI = 110
SCALAR_MAP = "cividis"

ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, QUIET, FAINT = "#22262b", "#5b626b", "#d7dade"

CLASS_COLOURS: tuple[str, ...] = (ORANGE, SKY, GREEN, PURPLE, YELLOW, VERMILLION, BLUE)

# A row keeps its colour in every figure; an ablation is the method's colour, dashed. Rows that
# share a colour differ in dashes and marker, by their place in the registry.
ROW_COLOURS: dict[str, str] = {
    "supervised_few": "#8a9099",
    "supervised_weak": "#a0522d",
    "supervised_pair": QUIET,
    "supervised_strong": INK,
    "mean_teacher": SKY,
    "bcp": ORANGE,
    "umct": GREEN,
    "ua_mt": "#7a5c00",
    "aau": PURPLE,
    "dsaif": VERMILLION,
    "hard_labels": "#6f5fc4",
    "cw_bass": "#1b7f79",
    "unimatch": "#b5457b",
    "tracoco": "#6b7a1f",
    "adawac": "#9a6b3f",
    "soft_labels": "#c0392b",
    "recommended": "#4000a0",
    "supervised_all": BLUE,
    "exhibit": VERMILLION,
}

HOUSE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#a9afb6",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "white",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "figure.facecolor": "white",
    "figure.dpi": DPI,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "image.cmap": SCALAR_MAP,
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.07,
}


@contextmanager
def house_style() -> Iterator[None]:
    """The look of every figure, as a context or as a decorator; nothing outside it changes."""
    with matplotlib.rc_context(HOUSE):
        yield


def bare(ax: Axes) -> None:
    """A picture without ticks, grid and frame."""
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def class_colour(index: int) -> str:
    """The colour of foreground class `index` (1, 2, ...), the same in every figure."""
    return CLASS_COLOURS[(index - 1) % len(CLASS_COLOURS)]


DASHES = (
    "-", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 4)), (0, (8, 3)), (0, (3, 1, 1, 1)),
    (0, (10, 2, 3, 2)),
)  # fmt: skip
MARKERS = "os^Dv<>PX*hdp8H"


def row_look(row: str) -> dict[str, Any]:
    """Colours and line style of a row: dashed with hollow markers for a method without its idea.

    Variants of a row (averaged, with two views, ...) wear the colour of the longest known name
    that theirs begins with, and dashes of their own. No two registered rows look alike.
    """
    colour, without = _row_colour(row), "_ablation" in row
    place = _variants(colour).index(base_row(row)) if base_row(row) in ROW_NAMES else 0
    return {
        "color": colour,
        "linestyle": "--" if without else DASHES[place % len(DASHES)],
        "markerfacecolor": "white" if without else colour,
    }


def row_marker(row: str) -> str:
    """The marker of a row, so that nothing is told by colour alone."""
    order = list(ROW_NAMES)
    return MARKERS[order.index(base_row(row)) % len(MARKERS)] if base_row(row) in order else "."


def on_dark(colour: str) -> str:
    """A colour of a chart as a dark page shows it: the filter of `.chart` in the page's style."""
    turned = np.array([[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]])
    hue = np.clip(turned @ (0.92 - 0.84 * np.array(to_rgb(colour))), 0, 1)
    red, green, blue = np.clip(1.3 * hue, 0, 1)
    return to_hex((red, green, blue))


def _row_colour(row: str) -> str:
    row = base_row(row)
    known = [name for name in ROW_COLOURS if row == name or row.startswith(f"{name}_")]
    return ROW_COLOURS[max(known, key=len)] if known else QUIET


def _variants(colour: str) -> list[str]:
    """The registered rows of that colour: the one that owns it, other methods, averages."""
    same = [row for row in ROW_NAMES if _row_colour(row) == colour]
    return sorted(same, key=lambda row: (row not in ROW_COLOURS, row not in METHODS))


@house_style()
def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure in house style, in inches. Not known to pyplot: it is never shown twice."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def two_lines(name: str, most: int = 26) -> str:
    """A name of more than `most` letters on two lines, broken at the blank nearest its middle."""
    spaces = [at for at, letter in enumerate(name) if letter == " "]
    if len(name) <= most or not spaces:
        return name
    middle = min(spaces, key=lambda at: abs(at - len(name) / 2))
    return name[:middle] + "\n" + name[middle + 1 :]


@house_style()
def shortened(words: str, inches: float, size: float) -> str:
    """Words of that type size with their middle left out, as far as they are wider."""
    renderer, font = RendererAgg(1, 1, DPI), FontProperties(size=size)
    for kept in range(len(words), 2, -1):
        gap = "" if kept == len(words) else "…"
        shown = words[: (kept + 1) // 2] + gap + words[len(words) - kept // 2 :]
        if renderer.get_text_width_height_descent(shown, font, False)[0] <= DPI * inches:
            return shown
    return words[:2]


def marked(figure: Figure, results: Sequence[Mapping[str, Any]]) -> Figure:
    """The figure, with a line above it where its numbers are those of a smoke run."""
    if note := smoke_note(results):
        figure.suptitle(note, color=VERMILLION, fontsize=10, fontweight="bold")
    return figure


def to_image(figure: Figure, dpi: int = DPI) -> Image.Image:
    """The figure as a picture in true colours."""
    buffer = io.BytesIO()
    with house_style():
        fit_legends(figure)
        _take_dollars_as_they_are(figure)
        figure.savefig(buffer, format="png", dpi=dpi)
    return Image.open(buffer).convert("RGB")


def _take_dollars_as_they_are(figure: Figure) -> None:
    """No words of ours are formulas, but a scan may be called `a$b_c$`; only the numbers of
    logarithmic axes are typeset."""
    for text in figure.findobj(Text):
        if "$" in text.get_text() and "mathdefault" not in text.get_text():
            text.set_parse_math(False)


def fit_legends(figure: Figure) -> None:
    """Takes columns from a figure's legend until it is no wider than the figure: names of classes
    and rows are longer in some data sets than in others."""
    for legend in list(figure.legends):
        texts = [text.get_text() for text in legend.get_texts()]
        most = legend._ncols  # type: ignore[attr-defined]  # matplotlib has no other way to ask
        for columns in range(min(most, len(texts)) - 1, 0, -1):
            if legend.get_window_extent().width <= figure.bbox.width:
                break
            handles = [handle for handle in legend.legend_handles if handle is not None]
            legend.remove()
            legend = figure.legend(handles, texts, loc="outside lower center", ncols=columns)


def is_chart(figure: Figure) -> bool:
    """Whether a figure holds points, lines and words only: no grey levels, no surface in 3D. A page
    may turn its light and dark round."""
    pictures = (AxesImage, QuadMesh, Axes3D)
    return not figure.findobj(lambda artist: isinstance(artist, pictures))


def to_png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG file, with a palette of 256 colours where that saves a third."""
    return smaller_png(to_image(figure, dpi))


def smaller_png(image: Image.Image) -> bytes:
    """An image as PNG: true colours, or a palette if the file is a third smaller.

    The palette holds the house colours and the most frequent ones as they are: quantising alone
    would grey a rare one, and show two rows alike whose dots are translucent.
    """
    full, few = io.BytesIO(), io.BytesIO()
    image.save(full, format="PNG", optimize=True)
    kept = [bytes.fromhex(colour[1:]) for colour in (*CLASS_COLOURS, INK, "#ffffff")]
    kept += _most_frequent(image)
    common = image.quantize(256 - len(kept), method=Image.Quantize.MEDIANCUT).getpalette()
    palette = np.frombuffer(b"".join(kept) + bytes(common or []), np.uint8).reshape(-1, 3)
    _with_palette(np.asarray(image), palette).save(few, format="PNG", optimize=True)
    return min((full, few), key=lambda file: file.tell() * (1 if file is few else 0.67)).getvalue()


def _most_frequent(image: Image.Image, count: int = 100) -> list[bytes]:
    """The colours that most pixels have, of flat areas such as dots and bars. Greys come last: the
    edges of letters have many of them, and a grey that is left out has near neighbours."""
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    colours, times = np.unique(pixels, axis=0, return_counts=True)
    grey = np.ptp(colours.astype(int), axis=1) <= 20
    return [colour.tobytes() for colour in colours[np.lexsort((-times, grey))][:count]]


def _with_palette(
    pixels: UInt8[np.ndarray, "row column 3"], palette: UInt8[np.ndarray, "colour 3"]
) -> Image.Image:
    """Each pixel as the nearest colour of the palette."""
    colours, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = cKDTree(palette.astype(float)).query(colours.astype(float))[1].astype(np.uint8)
    image = Image.fromarray(nearest[places].reshape(pixels.shape[:2]), mode="P")
    image.putpalette(palette.tobytes())
    return image


def checked_alt(alt: str) -> str:
    """The alternative text of a picture. Raises `InputError` if there is none."""
    if not alt or not alt.strip():
        raise InputError(
            "a figure has no alternative text",
            expected="a sentence that says what the picture shows, for readers who cannot see it",
            fix="give alt='...'",
        )
    return " ".join(alt.split())


def show(figure: Figure, alt: str) -> None:
    """Displays a figure as PNG with its alternative text, and closes it.

    The text stands in the output's metadata, beside whether it is a chart, and is its plain-text
    form. Raises `InputError` if it is empty.
    """
    alt = checked_alt(alt)
    data = {"image/png": b64encode(to_png(figure)).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt, "chart": is_chart(figure)}})
    pyplot.close(figure)
