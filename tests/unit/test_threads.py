"""The number of threads: the environment's, else no more than can run, one where more is slower."""

from __future__ import annotations

import os

import pytest
import torch

from ssl_lib.training import threads


@pytest.fixture(autouse=True)
def as_before():
    before = torch.get_num_threads()
    threads.choose_threads.cache_clear()
    yield
    threads.choose_threads.cache_clear()
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu.max": "nonsense\n"}, 64),
        ({}, 64),
    ],
)
def test_a_quota_bounds_the_cores(tmp_path, monkeypatch, files, most):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.usable_cores(tmp_path) == most


def test_affinity_bounds_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert threads.usable_cores(tmp_path) == 1


@pytest.mark.parametrize(("seconds", "chosen"), [({1: 1.0, 4: 0.4}, 4), ({1: 1.0, 4: 0.95}, 1)])
def test_the_faster_number_is_taken(monkeypatch, seconds, chosen):
    for name in threads.STATED:
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(4)
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    monkeypatch.setattr(threads, "_seconds", seconds.get)
    assert threads.choose_threads() == chosen == torch.get_num_threads()


def test_a_stated_number_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(3)
    monkeypatch.setattr(threads, "_seconds", lambda threads: pytest.fail("nothing is timed"))
    assert threads.choose_threads() == 3


def test_timing_draws_nothing_from_the_global_generator():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    threads._seconds(1, times=2)
    assert torch.equal(before, torch.random.get_rng_state())
