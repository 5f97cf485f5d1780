"""Work in other processes: the same answers in the same order, and errors in plain words."""

import statistics

import numpy as np
import pytest

from ssl_lib.data.cache import all_made_once
from ssl_lib.data.parallel import importable, in_processes
from ssl_lib.methods import dsaif
from ssl_lib.training.run_key import library_twin
from ssl_lib.utils.errors import InputError


def test_answers_come_in_order_whoever_makes_them():
    calls = [(([n, n + 2, n + 4],), {}) for n in range(7)]
    assert list(in_processes(statistics.median, calls, 2)) == [n + 2 for n in range(7)]
    assert list(in_processes(lambda row: sum(row), calls, 2)) == [3 * n + 6 for n in range(7)]
    assert importable(statistics.median)


def test_an_error_elsewhere_is_told_here():
    with pytest.raises(InputError, match="StatisticsError"):
        list(in_processes(statistics.median, [(([],), {}), (([],), {})], 2))


def test_filtered_scans_are_the_same_from_two_processes_and_found_again(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    images = {str(n): random.normal(size=(14, 12, 10)).astype(np.float32) for n in range(3)}
    parts = {name: (image, 3) for name, image in images.items()}
    calls = {name: ((image, 3), {"area": 3}) for name, image in images.items()}
    made = all_made_once(tmp_path, parts, dsaif.filter_scan, calls, workers=2)
    for name, image in images.items():
        assert np.array_equal(made[name], dsaif.filter_scan(image, 3, area=3))

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    again = all_made_once(tmp_path, parts, never, calls)
    assert list(again) == list(images)
    assert all(np.array_equal(again[name], made[name]) for name in images)


def test_a_function_of_a_notebook_is_found_in_the_library_if_its_text_is_there():
    assert library_twin(dsaif.filter_scan) is dsaif.filter_scan

    def filter_scan(image, dimensions):
        return image

    assert library_twin(filter_scan) is filter_scan
