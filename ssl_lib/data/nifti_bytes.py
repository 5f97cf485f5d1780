"""The bytes of a NIfTI file, unpacked: no more of them than its header announces.

A header of 348 bytes can announce a terabyte, and a packed file of a megabyte can hold a thousand.
So the header is read and checked first, and memory is taken only for voxels that can be there.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase, BufferedReader
from pathlib import Path

import nibabel
import nibabel.imageglobals
import numpy as np
import psutil

from ssl_lib.utils.errors import InputError

nibabel.imageglobals.logger.setLevel("CRITICAL")  # its remarks name no file; ours do

ENDINGS = (".nii.gz", ".nii")
SIZES = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
"""The kind of header by its size, which stands in its first four bytes."""
MOST_PACKED = 1032
"""Bytes that one packed byte can stand for (the limit of deflate)."""
MOST_BEHIND = 1024
"""Megabytes that may follow the voxels of a packed file."""
SMALLEST_MM, LARGEST_MM = 1e-6, 1e9
"""Voxels are no smaller, and no larger or farther away: the sizes of a broken header are."""
AGAIN = "copy or download the file again"


def nifti_bytes(path: Path) -> bytes:
    """Header and voxels of a `.nii` or `.nii.gz` file; a packed one is read to its checksum.

    Raises `InputError` for a file of another kind, one that is cut off or damaged, and for a header
    that does not describe one volume of numbers that fits into memory.
    """
    _refuse_other_files(path)
    is_packed = path.name.lower().endswith(".gz")
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        _refuse_wrong_start(file, is_packed, path)
        stream: BufferedIOBase = gzip.GzipFile(fileobj=file) if is_packed else file
        try:
            announced = _announced(read_header(stream.read(max(SIZES)), path))
        except InputError:
            _read_to_the_end(stream, is_packed, path)  # damage is the better reason
            raise
        _refuse_too_large(announced, size * (MOST_PACKED if is_packed else 1), path)
        stream.seek(0)
        content = with_unit_quaternion(stream.read(announced))
        _read_to_the_end(stream, is_packed, path)
    if len(content) < announced:
        raise _cut_off(announced, len(content), path)
    return content


LONG = 1e-3
"""A quaternion may be longer than 1 by this: it was rounded when it was stored."""


def nifti_kind(content: bytes) -> type[nibabel.Nifti1Image]:
    """NIfTI-1 or NIfTI-2, by the size of the header."""
    return nibabel.Nifti2Image if _kind(content) is nibabel.Nifti2Header else nibabel.Nifti1Image


def length_unit(header: nibabel.Nifti1Header) -> str:
    """The unit of length that a header states; "unknown" for a code that stands for none."""
    try:
        return header.get_xyzt_units()[0]
    except KeyError:
        return "unknown"


def with_unit_quaternion(content: bytes) -> bytes:
    """The same file with a quaternion of length 1, where rounding made it a little longer, and with
    a handedness (`pixdim[0]`) of 1 where it is neither 1 nor -1, as the standard says.

    The three stored numbers of a rotation by half a turn have length 1; if rounding makes it more,
    the fourth number would be the root of a negative one, and nibabel refuses the header.
    """
    kind = _kind(content)
    header = kind(content[: kind.sizeof_hdr], check=False)
    names = ("quatern_b", "quatern_c", "quatern_d")
    length = math.sqrt(sum(float(header[name]) ** 2 for name in names))
    long, handed = 1 < length <= 1 + LONG, float(header["pixdim"][0]) in (-1.0, 1.0)
    if handed and not long:
        return content
    header["pixdim"][0] = header["pixdim"][0] if handed else 1.0
    for name in names if long else ():
        header[name] = header[name] / (length * (1 + 1e-7))
    return header.binaryblock + content[kind.sizeof_hdr :]


def unreadable(path: Path, error: OSError) -> InputError:
    """What to say of a file that the system does not give."""
    if path.is_symlink() and not path.exists():
        return InputError(
            "is a link to a file that is not there",
            where=path,
            expected="a file",
            fix="fetch its content (git annex get, datalad get), or remove the link",
        )
    if isinstance(error, FileNotFoundError):
        return InputError("is not there", where=path, expected="a file", fix="check its name")
    if isinstance(error, PermissionError):
        return InputError(
            "may not be read",
            where=path,
            expected="the right to read it",
            fix="change its permissions, or those of its folder",
        )
    return InputError(
        "cannot be read: the system refuses it", where=path, expected="a file", fix=AGAIN
    )


def read_header(start: bytes, path: Path) -> nibabel.Nifti1Header:
    """The header at the start of a file, its statements checked: one volume, numbers, voxel sizes.

    Raises `InputError` for every other header.
    """
    try:
        kind = _kind(start)
        header = kind(with_unit_quaternion(start)[: kind.sizeof_hdr], check=False)
        shape, dtype = header.get_data_shape(), header.get_data_dtype()
        offset, magic = header.get_data_offset(), bytes(header["magic"])
        int(offset)
    except KeyError:
        raise _no_nifti("its type of voxel is none of the format", path) from None
    except Exception:  # nibabel raises many kinds for a damaged header
        raise _no_nifti("its start is no header of the format", path) from None
    if not magic.startswith((b"n+1", b"n+2")):
        raise _no_nifti("its header is not that of a single file", path)
    if offset < kind.single_vox_offset:
        raise _no_nifti(f"its voxels begin at byte {offset}, inside the header", path)
    if np.isinf(header["scl_slope"]) or np.isinf(header["scl_inter"]):
        raise _no_nifti("its voxels are scaled by infinity", path)
    if len(shape) < 3 or any(side != 1 for side in shape[3:]) or min(shape) < 1:
        raise InputError(
            f"has the shape {tuple(map(int, shape))}",
            where=path,
            expected="one volume with three axes",
            fix="write channels or time points into files of their own: NAME_0000.nii.gz, ..."
            if len(shape) > 3
            else "stack the slices of one scan into a volume",
        )
    only_numbers(dtype, path)
    _refuse_wrong_sizes(header, path)
    return header


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """The file, in a context that says `InputError` to what is wrong with it."""
    try:
        with path.open("rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(
            "is cut off or damaged", where=path, expected="a whole file", fix=AGAIN
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None


def only_numbers(dtype: np.dtype, path: Path) -> None:
    """Raise `InputError` unless voxels of that type are one real number each."""
    if dtype.kind not in "biuf":
        name = "colours or records" if dtype.names else dtype.name
        raise InputError(
            f"holds voxels of the type {name}",
            where=path,
            expected="one number for each voxel",
            fix="convert it to grey levels, or to whole numbers for a label map",
        )


def fits_into_memory(needed: int, path: Path) -> None:
    """Raise `InputError` if that many bytes are not free."""
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"its voxels take {gigabytes(needed)}, {gigabytes(free)} of memory are free",
            where=path,
            fix="crop the scan, or store it with smaller numbers",
        )


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:,.1f} GB" if count >= 10**8 else f"{count:,} bytes"


def _kind(start: bytes) -> type[nibabel.Nifti1Header]:
    """NIfTI-1 or NIfTI-2, in either byte order."""
    for order in ("little", "big"):
        kind = SIZES.get(int.from_bytes(start[:4], order))
        if kind is not None and len(start) >= kind.sizeof_hdr:
            return kind
    raise ValueError(f"no header of 348 or 540 bytes in the first {len(start)} bytes")


def _announced(header: nibabel.Nifti1Header) -> int:
    """How many bytes the file holds if its header is right."""
    voxels = math.prod(map(int, header.get_data_shape())) * header.get_data_dtype().itemsize
    return int(header.get_data_offset()) + voxels


def _refuse_other_files(path: Path) -> None:
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(
            "is no NIfTI file by its name",
            where=path,
            expected=f"a name that ends in {' or '.join(ENDINGS)}",
            fix="convert the scan to NIfTI",
        )
    if path.is_dir():
        raise InputError("is a folder", where=path, expected="a file")
    if path.exists() and not path.is_file():
        raise InputError("is no regular file", where=path, expected="a file with an end")


def _refuse_wrong_start(file: BufferedIOBase, is_packed: bool, path: Path) -> None:
    """An empty file, and one that is packed where its name says otherwise."""
    start = file.read(2)
    file.seek(0)
    if not start:
        raise InputError("is empty (0 bytes)", where=path, fix=AGAIN)
    if is_packed and start != b"\x1f\x8b":
        raise InputError(
            "is not packed by gzip, as its name says, or its start is damaged",
            where=path,
            fix=f"{AGAIN}, or name it .nii if it is a plain one",
        )
    if not is_packed and start == b"\x1f\x8b":
        raise InputError("is packed by gzip", where=path, fix="give it a name that ends in .nii.gz")


def _refuse_too_large(announced: int, most: int, path: Path) -> None:
    if announced > most:
        raise _cut_off(announced, most, path)
    fits_into_memory(2 * announced, path)  # as bytes and as an array


def _read_to_the_end(stream: BufferedIOBase, is_packed: bool, path: Path) -> None:
    """Read what follows the voxels of a packed file: nothing, but then its checksum is tested."""
    for _ in range(MOST_BEHIND if is_packed else 0):
        if not stream.read(2**20):
            return
    if is_packed:
        raise InputError(f"goes on for {MOST_BEHIND} MB behind its voxels", where=path, fix=AGAIN)


def _refuse_wrong_sizes(header: nibabel.Nifti1Header, path: Path) -> None:
    """Voxel sizes that are not positive, and axes that do not span a volume.

    `pixdim` counts unless the header states a whole affine.
    """
    stated = header["pixdim"][1:4] if header["sform_code"] == 0 else np.ones(3)
    affine = np.full((4, 4), np.nan)
    if np.isfinite(stated).all() and min(stated) > 0:
        with suppress(Exception):  # nibabel raises many kinds for a rotation that is none
            affine = header.get_best_affine()
    sizes = nibabel.affines.voxel_sizes(affine)
    usual = np.abs(affine).max() < LARGEST_MM and min(sizes) >= SMALLEST_MM
    if not usual:  # NaN is neither smaller nor larger
        raise InputError(
            "has no valid voxel size in its header",
            where=path,
            expected="three numbers above 0, in millimetres",
            fix="convert it anew from the original series",
        )
    if np.linalg.matrix_rank(affine[:3, :3] / sizes) < 3:
        raise InputError(
            "has two axes that point in the same direction",
            where=path,
            expected="axes that span a volume",
            fix="convert it anew from the original series",
        )


def _no_nifti(reason: str, path: Path) -> InputError:
    return InputError(
        f"cannot be read as NIfTI: {reason}",
        where=path,
        expected="a NIfTI file (.nii or .nii.gz)",
        fix="convert it anew from the original series; a small text file is a pointer of git-lfs,"
        " whose content must be fetched",
    )


def _cut_off(announced: int, there: int, path: Path) -> InputError:
    return InputError(
        f"is cut off or damaged: its header announces {gigabytes(announced)}, there are at most"
        f" {gigabytes(there)}",
        where=path,
        fix=AGAIN,
    )
