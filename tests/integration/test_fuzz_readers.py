"""Files changed at random: a reader gives a usable object or an `InputError`, and nothing else.

A few hundred changes by default, always the same ones; with `--long` more than ten thousand, other
ones each time. Changes are made twice where a check sum or a packer would catch them all: to the
file as it lies on the disk, and to what is inside, packed and sealed again.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from broken_folders import strict
from broken_hdf5 import hdf5
from broken_models import exported_bytes
from broken_nifti import nifti_bytes, read_labels
from broken_runs import RESULT, saved
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save
from tiny_scans import tiny_image, tiny_label, write_folder

from ssl_lib.data.reading import Volume, as_image, read_hdf5, read_nifti
from ssl_lib.evaluation.results import read_result
from ssl_lib.export import file as model_file
from ssl_lib.export.model import load_model
from ssl_lib.notebook.tables import row_table
from ssl_lib.reports.index import boards
from ssl_lib.training import checkpoint
from ssl_lib.utils.errors import InputError

FEW, MANY = 28, 900
"""Changes tried for each way of changing a file, by default and with `--long`."""
SLOW_SECONDS = 60.0

# --- changes

PLACES = st.one_of(st.integers(0, 400), st.integers(0, 2**20))
PIECES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\xff\x7f", b"\x7f\xff", b"\0\0\xc0\x7f", b"\x80"]),
)
STEPS = st.tuples(st.sampled_from(["write", "write", "cut", "insert", "drop"]), PLACES, PIECES)
CHANGES = st.lists(STEPS, min_size=1, max_size=4)

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from([0, -1, 1, 3, 10**9, 1e308, "", "0", [], {}]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
EXCHANGES = st.lists(
    st.tuples(st.integers(0, 500), st.one_of(st.just(...), JSON)), min_size=1, max_size=3
)
"""Places in a JSON value and what stands there afterwards (an ellipsis: nothing)."""


def changed(content: bytes, steps: list[tuple[str, int, bytes]]) -> bytes:
    spoilt = bytearray(content)
    for kind, where, piece in steps:
        place = where % max(1, len(spoilt))
        if kind == "write":
            spoilt[place : place + len(piece)] = piece
        elif kind == "insert":
            spoilt[place:place] = piece
        elif kind == "drop":
            del spoilt[place : place + len(piece)]
        else:
            del spoilt[place:]
    return bytes(spoilt)


def exchanged(value: object, exchanges: list[tuple[int, object]]) -> object:
    """A copy of a JSON value with other values at some places."""
    copy = json.loads(json.dumps(value))
    for number, new in exchanges:
        inside = list(places(copy))
        if not inside:
            break
        holder, key = inside[number % len(inside)]
        if new is ...:
            del holder[key]
        else:
            holder[key] = new
    return copy


def places(value: object) -> Iterator[tuple[dict | list, object]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from places(inner)


# --- readers: what is accepted must be usable


def scan_is_usable(path: Path) -> None:
    volume = read_nifti(path)
    assert volume.voxels.ndim == 3 and min(volume.voxels.shape) > 0
    assert all(np.isfinite(size) and size > 0 for size in volume.spacing)
    image = as_image(volume.voxels, path)
    assert np.isfinite(image).all() and image.dtype == np.float32


def label_is_usable(path: Path) -> None:
    assert read_labels(path).dtype == np.uint8


def hdf5_is_usable(path: Path) -> None:
    image, label = read_hdf5(path)
    assert image.shape == label.shape and np.isfinite(image).all()


def result_is_usable(path: Path) -> None:
    result = read_result(path)
    boards([result])
    row_table([result])


def checkpoint_is_usable(path: Path) -> None:
    assert isinstance(checkpoint.load(path), dict)


def model_is_usable(path: Path) -> None:
    model = load_model(path)
    volume = Volume(tiny_image(0, (17, 16, 18)), np.diag([1.0, 1.0, 1.0, 1.0]), path)
    assert model.segment(volume).shape == (17, 16, 18)


def folder_is_usable(path: Path) -> None:
    assert len(strict(path.parent).cohort.labelled) == 1


# --- sound files, and how they are changed


def once(make: Callable[[Path], Path]) -> Callable[[Path], bytes]:
    return lambda folder: make(folder).read_bytes()


def repacked_zip(content: bytes, steps: list[tuple[str, int, bytes]]) -> bytes:
    """A checkpoint whose pickled description is changed and whose check sums are right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            inside = old.read(name)
            new.writestr(name, changed(inside, steps) if name.endswith("data.pkl") else inside)
    return buffer.getvalue()


def resealed(path: Path, exchanges: list[tuple[int, object]]) -> bytes:
    """ExportedModel weights with another description, their checksum renewed."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    metadata["config"] = json.dumps(exchanged(json.loads(metadata["config"]), exchanges))
    metadata["sha256"] = model_file._checksum(tensors, metadata["config"])
    return save(tensors, metadata)


def as_they_are(name: str, sound: Callable[[Path], bytes], usable: Callable[[Path], None]):
    """The bytes of a file changed."""

    def prepare(folder: Path):
        content = sound(folder)
        return folder / name, lambda steps: changed(content, steps)

    return CHANGES, prepare, usable


def folder_with(name: str, content: bytes):
    def prepare(folder: Path):
        write_folder(folder, labelled=4, unlabelled=0)
        return folder / name, lambda steps: changed(content, steps)

    return CHANGES, prepare, folder_is_usable


def inside_gzip(folder: Path):
    return folder / "scan.nii.gz", lambda s: gzip.compress(changed(nifti_bytes(), s), mtime=0)


def inside_json(folder: Path):
    return folder / "run.json", lambda s: json.dumps(exchanged(RESULT, s)).encode()


def inside_checkpoint(folder: Path):
    content = saved(folder / "sound.pt").read_bytes()
    return folder / "run.pt", lambda steps: repacked_zip(content, steps)


def inside_model(folder: Path):
    sound = exported_bytes(folder / "sound.safetensors")
    return folder / "row.safetensors", lambda exchanges: resealed(sound, exchanges)


LABEL = nifti_bytes(tiny_label())
NAMES = b'{"labels": {"background": 0, "rim": 1, "core": 2}, "licence": "CC0"}'
PATIENTS = b"scan,patient\na00,A\na01,B\na02,C\na03,D\n"
WAYS = {
    "NIfTI": as_they_are("scan.nii", lambda f: nifti_bytes(), scan_is_usable),
    "NIfTI label": as_they_are("label.nii", lambda f: LABEL, label_is_usable),
    "packed NIfTI": as_they_are(
        "scan.nii.gz", lambda f: gzip.compress(nifti_bytes(), mtime=0), scan_is_usable
    ),
    "NIfTI, packed again": (CHANGES, inside_gzip, scan_is_usable),
    "HDF5": as_they_are("scan.h5", once(hdf5()), hdf5_is_usable),
    "result": as_they_are("run.json", lambda f: json.dumps(RESULT).encode(), result_is_usable),
    "values of a result": (EXCHANGES, inside_json, result_is_usable),
    "checkpoint": as_they_are(
        "run.pt", once(lambda f: saved(f / "sound.pt")), checkpoint_is_usable
    ),
    "checkpoint, packed again": (CHANGES, inside_checkpoint, checkpoint_is_usable),
    "exported weights": as_they_are(
        "row.safetensors", once(lambda f: exported_bytes(f / "sound.safetensors")), model_is_usable
    ),
    "exported weights, sealed again": (EXCHANGES, inside_model, model_is_usable),
    "dataset.json": folder_with("dataset.json", NAMES),
    "patients.csv": folder_with("patients.csv", PATIENTS),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_any_change_gives_a_usable_object_or_a_refusal(
    way: str, tmp_path: Path, request: pytest.FixtureRequest, little_memory
) -> None:
    changes, prepare, usable = WAYS[way]
    path, make = prepare(tmp_path)
    is_long = request.config.getoption("--long")
    refused: list[str] = []
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

    @settings(
        max_examples=MANY if is_long else FEW,
        derandomize=not is_long,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(changes)
    def try_one(steps) -> None:
        path.write_bytes(make(steps))
        started = time.monotonic()
        try:
            usable(path)
        except InputError as error:
            refused.append(str(error))
        assert time.monotonic() - started < SLOW_SECONDS

    try_one()
    assert refused and all("Traceback" not in message for message in refused)
