"""PNG, TIFF, JPEG and BMP files as scans of one slice, and as label maps; read by Pillow.

The columns of a picture run to the right; its rows run down, which here is to the back. A picture
has no millimetres: it is measured in pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from ssl_lib.data.nifti_bytes import AGAIN, unreadable
from ssl_lib.data.reading import MANY_CLASSES, Volume, reoriented
from ssl_lib.data.suffixes import suffix_of
from ssl_lib.utils.errors import InputError

Colour = tuple[int, int, int]
Colours = Mapping[Colour, int]
"""The value that each colour of a folder's label maps stands for; black is 0."""

DOWN = np.diag([1.0, -1.0, 1.0, 1.0])
"""Rows run to the back."""
GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L")
OPAQUE = {"LA": "L", "RGBA": "RGB"}
EXIF_TURN = 0x0112
INEXACT = (".jpg", ".jpeg")


def read_picture(path: Path, *, turned_as: Volume | None = None) -> Volume:
    """A picture as a volume of one slice; a colour picture has three channels: red, green, blue.
    One whose colours are equal everywhere is a grey one.

    Raises `InputError` for a file that is missing or damaged, transparent pixels, several pages,
    and a picture that is turned only when it is shown.
    """
    pixels = _pixels(_opened(path), path)
    if pixels.ndim == 2 or _is_grey(pixels):
        return _volume(pixels if pixels.ndim == 2 else pixels[..., 0], path, turned_as)
    red, *others = (_volume(one, path, turned_as) for one in np.moveaxis(pixels, -1, 0))
    return replace(red, further=tuple((one.voxels, path) for one in others))


def read_label_picture(
    path: Path, *, turned_as: Volume | None = None, colours: Colours | None = None
) -> Volume:
    """The values of a label map that was saved as a picture.

    In a picture with a palette, or of grey levels, the stored numbers are the values. In a colour
    picture each colour stands for a value of `colours` (see `label_colours`). Raises `InputError`
    as `read_picture`, for JPEG, and for colours that `colours` does not name.
    """
    if suffix_of(path.name) in INEXACT:
        raise InputError(
            "is a JPEG file: its values are not exact",
            where=path,
            expected="a label map as PNG or TIFF",
            fix="export the label map again as PNG; one that went through JPEG is spoilt",
        )
    pixels = _numbers_or_colours(_opened(path), path)
    if pixels.ndim == 3:
        pixels = _valued(pixels, colours or {}, path)
    return _volume(pixels, path, turned_as)


@dataclass(frozen=True)
class LabelColours:
    """How colours are used in the label maps of a folder.

    `values` says which value each colour stands for, empty where no colour is used. `plain` are
    files of plain numbers among such of colours; `repainted` those whose palette shows a number in
    another colour than the palettes of files before it.
    """

    values: Colours
    plain: tuple[Path, ...] = ()
    repainted: tuple[Path, ...] = ()


def label_colours(paths: Iterable[Path]) -> LabelColours:
    """Look at the colours of the label maps of a folder: black is 0, the others 1, 2, ... in the
    order of red, green and blue.

    Grey levels are values themselves. Files that cannot be read, or with more than `MANY_CLASSES`
    colours, are passed over: they are refused by name where they are used.
    """
    found: set[Colour] = set()
    plain: list[Path] = []
    repainted: list[Path] = []
    palette: dict[int, tuple[int, ...]] = {}
    for path in paths:
        with suppress(InputError):
            image = _opened(path)
            pixels = _numbers_or_colours(image, path)
            if pixels.ndim == 3:
                colours = _colours_of(pixels)
                found.update(colours if len(colours) <= MANY_CLASSES else [])
                continue
            plain.append(path)
            own = _palette_of(image)
            if any(palette.setdefault(number, own[number]) != own[number] for number in own):
                repainted.append(path)
    if all(red == green == blue for red, green, blue in found):
        return LabelColours({}, (), tuple(repainted))
    values = {colour: value for value, colour in enumerate(sorted({(0, 0, 0), *found}))}
    return LabelColours(values, tuple(plain), tuple(repainted))


def colour_name(colour: Colour) -> str:
    """A colour as #rrggbb."""
    return "#" + bytes(colour).hex()


def picture_of(stored: UInt8[np.ndarray, "column row 1"]) -> bytes:
    """The content of a PNG file with a label map as it is stored: grey levels are values."""
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored[..., 0].T)).save(content, "PNG")
    return content.getvalue()


def _volume(
    pixels: Shaped[np.ndarray, "row column"], path: Path, turned_as: Volume | None
) -> Volume:
    return replace(reoriented(pixels.T[..., None], DOWN, path, turned_as), unit="pixel")


def _opened(path: Path) -> Image.Image:
    """The picture, decoded whole."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if not content:
        raise InputError("is empty (0 bytes)", where=path, fix=AGAIN)
    try:
        image = Image.open(io.BytesIO(content))
        pages = getattr(image, "n_frames", 1)
        image.load()
        turned = image.getexif().get(EXIF_TURN, 1)
    except Exception:  # Pillow raises many kinds for a damaged file, and for a bomb
        raise InputError(
            "cannot be read as a picture: it is cut off, damaged or of another kind",
            where=path,
            expected="a PNG, TIFF, JPEG or BMP file",
            fix=AGAIN,
        ) from None
    if pages > 1:
        raise InputError(
            f"holds {pages} pages",
            where=path,
            expected="one picture in each file",
            fix="save its pages as files of their own, or the stack as .nrrd with its voxel size",
        )
    if turned != 1:
        raise InputError(
            "is stored turned or mirrored, and says so in its EXIF data",
            where=path,
            expected="a picture that is stored upright, as its label map is",
            fix="save it upright (Pillow: ImageOps.exif_transpose)",
        )
    return image


def _pixels(image: Image.Image, path: Path) -> Shaped[np.ndarray, "row column *channel"]:
    """Grey levels, or red, green and blue."""
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in OPAQUE:
        if np.asarray(image.getchannel("A")).min() < 255:
            raise InputError(
                "has transparent pixels: what stands in them is not known",
                where=path,
                expected="a picture without transparency",
                fix="save it without its alpha channel",
            )
        image = image.convert(OPAQUE[image.mode])
    if image.mode not in (*GREY, "RGB"):
        raise InputError(
            f"is stored in the colours {image.mode}",
            where=path,
            expected="grey levels or RGB",
            fix="convert it (Pillow: Image.open(...).convert('RGB'))",
        )
    pixels = np.asarray(image)
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def _numbers_or_colours(
    image: Image.Image, path: Path
) -> Shaped[np.ndarray, "row column *channel"]:
    """The numbers of a palette or of grey levels, or colours."""
    return np.asarray(image) if image.mode == "P" else _pixels(image, path)


def _palette_of(image: Image.Image) -> dict[int, tuple[int, ...]]:
    """The colour of each number that a picture with a palette uses."""
    if image.mode != "P":
        return {}
    table = np.array(image.getpalette("RGB")).reshape(-1, 3)
    used = [int(n) for n in np.unique(np.asarray(image)) if n < len(table)]
    return {number: tuple(table[number].tolist()) for number in used}


def _is_grey(pixels: UInt8[np.ndarray, "row column 3"]) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def _colours_of(pixels: UInt8[np.ndarray, "row column 3"]) -> list[Colour]:
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    return [(int(n) >> 16, int(n) >> 8 & 255, int(n) & 255) for n in np.unique(packed)]


def _valued(
    pixels: UInt8[np.ndarray, "row column 3"], colours: Colours, path: Path
) -> Shaped[np.ndarray, "row column"]:
    """The value of each pixel's colour; grey levels themselves where no colours are known."""
    if not colours and _is_grey(pixels):
        return pixels[..., 0]
    found = _colours_of(pixels)
    unknown = [colour for colour in found if colour not in colours]
    if len(found) > MANY_CLASSES or unknown:
        raise InputError(
            f"holds {len(found)} different colours"
            + (f", such as {colour_name(unknown[0])}" if unknown else ""),
            where=path,
            expected="one colour for each class, black for background",
            fix="save it as PNG without smoothing at the edges; if it is an image, put the label"
            " map in its place",
        )
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    places = np.searchsorted([r * 65536 + g * 256 + b for r, g, b in found], packed)
    return np.array([colours[colour] for colour in found], np.uint16)[places]
