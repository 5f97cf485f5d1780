"""Scans beyond the memory: the same voxels, from files that leave nothing behind."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from dataclasses import replace

import numpy as np
import pytest
from organ_scans import write_organs
from tiny_study import hashes, tiny_study, train

from ssl_lib.data import scan_files as store
from ssl_lib.data.cohort import Case
from ssl_lib.data.load import load_cohort
from ssl_lib.data.scan_files import ScanStore
from ssl_lib.training import batches as sampling
from ssl_lib.utils.errors import InputError


def scan(number: int) -> Case:
    random = np.random.default_rng(number)
    image = random.normal(size=(6, 7, 8)).astype(np.float32)
    return Case(f"scan {number}", "patient", image, (1.0,) * 3, (image > 0).astype(np.uint8))


def open_files() -> int:
    """How many files this process has open, 0 where the system does not say."""
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


def test_what_fits_stays_in_memory_and_the_rest_goes_to_files():
    one, two, three = map(scan, range(3))
    kept = ScanStore(room=2 * (one.image.nbytes + one.label.nbytes) + 7)
    assert kept.add(one) is one and kept.add(two) is two
    stored = kept.add(three)
    assert isinstance(stored.image, np.memmap) and isinstance(stored.label, np.memmap)
    np.testing.assert_array_equal(stored.image, three.image)
    np.testing.assert_array_equal(stored.label, three.label)
    assert stored.image.dtype == np.float32 and stored.label.dtype == np.uint8
    assert kept.add(stored) is stored


def test_a_scan_without_a_label_keeps_none():
    assert ScanStore(room=0).add(replace(scan(0), label=None)).label is None


def test_files_are_read_only_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    stored = ScanStore(room=0).add(scan(0))
    with pytest.raises(ValueError, match="read-only"):
        stored.image[0, 0, 0] = 1
    assert not list(tmp_path.iterdir()), "the file has no name"
    del stored
    gc.collect()
    assert open_files() == before


def test_a_full_disk_is_one_message(monkeypatch):
    def full(array: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_mapped", full)
    with pytest.raises(InputError, match=r"neither memory nor .* has room") as refusal:
        ScanStore(room=0).add(scan(0))
    assert "TMPDIR" in refusal.value.fix


def test_a_folder_keeps_them_in_files_too(tmp_path, monkeypatch):
    folder = write_organs(tmp_path / "mine")
    held = load_cohort(str(folder), 2)
    monkeypatch.setattr(store, "room_for_scans", lambda device: 0)
    stored = load_cohort(str(folder), 2)
    assert all(isinstance(case.image, np.memmap) for case in stored.cases)
    assert stored.content_hash == held.content_hash


def test_a_training_on_files_ends_in_the_same_bits(monkeypatch):
    study = tiny_study()
    held = train(study)
    groups = {
        name: tuple(ScanStore(room=0).add(case) for case in cases)
        for name, cases in study.cohort.groups.items()
    }
    elsewhere = replace(study, cohort=replace(study.cohort, **groups))
    monkeypatch.setattr(sampling, "room_for_scans", lambda device: 0)
    before = {thread.name for thread in threading.enumerate()}
    stored = train(elsewhere)
    assert {t.name for t in threading.enumerate()} <= before, "nothing reads ahead any more"
    assert hashes(stored) == hashes(held)
    assert held.validation == stored.validation
