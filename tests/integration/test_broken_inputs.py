"""What cannot be right is refused in words that name it: no stack trace, no silence, no memory."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pytest
from breaking import Broken
from broken_folders import given, open_study, strict
from broken_hdf5 import hdf5
from broken_inputs import BROKEN
from broken_models import exported
from broken_nifti import label, packed, read_image, read_labels, scan
from broken_runs import bytes_of_checkpoint, result
from tiny_scans import write_folder

from ssl_lib.data.reading import read_hdf5
from ssl_lib.evaluation.results import read_result
from ssl_lib.export.model import load_model
from ssl_lib.training import checkpoint
from ssl_lib.utils.errors import InputError


@pytest.mark.usefixtures("misuse")
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_input_is_refused_by_name(broken: Broken, tmp_path: Path, little_memory) -> None:
    made = broken.make(tmp_path)
    with warnings.catch_warnings(record=True) as said, pytest.raises(InputError) as refusal:
        warnings.simplefilter("always")
        broken.read(made)
    message = str(refusal.value)
    for words in (*broken.words, broken.named or made.name):
        assert words in message
    assert "Traceback" not in message and len(message) < 2000
    assert [str(warning.message) for warning in said] == []


def test_the_table_holds_every_kind_of_input_under_its_own_name() -> None:
    assert len({broken.name for broken in BROKEN}) == len(BROKEN)
    kinds = Counter(broken.read.__name__ for broken in BROKEN)
    assert len(BROKEN) >= 150 and len(kinds) >= 15, kinds


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (scan(), read_image),
        (packed(bytes), read_image),
        (label(lambda voxels: voxels), read_labels),
        (hdf5(), read_hdf5),
        (result(), read_result),
        (bytes_of_checkpoint(bytes), checkpoint.load),
        (exported(bytes), load_model),
        (lambda folder: write_folder(folder, labelled=4, unlabelled=0), strict),
        (given(), open_study),
    ],
)
def test_what_was_not_broken_is_read(make, read, tmp_path: Path, little_memory) -> None:
    """So that no reader passes by refusing everything."""
    assert read(make(tmp_path)) is not None
