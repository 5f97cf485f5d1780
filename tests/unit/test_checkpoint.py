"""Checkpoints: whole or not there, the one before as a spare, and nothing but plain values."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.training import checkpoint
from ssl_lib.training.checkpoint import load, previous, save
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError


def state(number: int) -> dict[str, object]:
    return {
        "weights": torch.full((50,), float(number)),
        "history": [{"iteration": number, "loss": 0.5}],
        "best": {},
        "name": "run",
    }


def number_of(found: dict[str, object] | None) -> int:
    assert found is not None and torch.equal(
        found["weights"], state(found["history"][0]["iteration"])["weights"]
    )
    return found["history"][0]["iteration"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "run.pt"


class Fails:
    """Stands in for a function of `os` and fails when called for the n-th time."""

    def __init__(self, function, call: int, error: BaseException) -> None:
        self.function, self.left, self.error = function, call, error

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.function(*arguments)


def test_what_was_saved_is_loaded(path):
    assert load(path) is None
    save(path, state(1))
    found = load(path)
    assert number_of(found) == 1 and found["name"] == "run" and found["best"] == {}
    assert os.listdir(path.parent) == ["run.pt"]


def test_the_one_before_is_kept(path):
    for number in (1, 2, 3):
        save(path, state(number))
    assert number_of(load(path)) == 3
    assert sorted(os.listdir(path.parent)) == ["run.pt", "run.pt.previous"]
    path.unlink()
    assert number_of(load(path)) == 2


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_between_write_and_rename_leaves_the_old_state(
    path, monkeypatch, function, call, error, raised
):
    save(path, state(1))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, function, Fails(getattr(os, function), call, error))
        if (function, call) == ("fsync", 2):
            save(path, state(2))
        else:
            with pytest.raises(raised, match="No space left" if raised is InputError else None):
                save(path, state(2))
    assert number_of(load(path)) == (2 if (function, call) == ("fsync", 2) else 1)
    assert not [name for name in os.listdir(path.parent) if name.endswith(".part")]


def test_a_plain_file_is_replaced_in_one_step(tmp_path, monkeypatch):
    target = tmp_path / "result.json"
    write_atomically(target, b"old")
    failing = Fails(os.replace, 1, OSError(5, "Input/output error"))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "replace", failing)
        with pytest.raises(InputError, match=r"result\.json.*Input/output error"):
            write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new" and os.listdir(tmp_path) == ["result.json"]


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_damaged_file_gives_way_to_the_one_before(tmp_path_factory, data):
    """Truncated anywhere, or one byte of the stored values turned over."""
    path = tmp_path_factory.mktemp("damage") / "run.pt"
    save(path, state(1))
    save(path, state(2))
    content = path.read_bytes()
    if data.draw(st.booleans(), label="truncate"):
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    else:
        start = content.index(state(2)["weights"].numpy().tobytes())
        place = start + data.draw(st.integers(0, 199))
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
    assert number_of(load(path)) == 1


def test_a_damaged_file_never_replaces_the_good_one_before_it(path):
    save(path, state(1))
    save(path, state(2))
    path.write_bytes(b"half")
    assert number_of(load(path)) == 1
    assert path.with_name("run.pt.damaged").read_bytes() == b"half"
    save(path, state(3))
    path.unlink()
    assert number_of(load(path)) == 1, "the good one is still the spare"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x04."])
def test_when_both_are_damaged_the_user_is_told(path, content):
    save(path, state(1))
    save(path, state(2))
    path.write_bytes(content)
    previous(path).write_bytes(content)
    with pytest.raises(InputError, match="damaged") as caught:
        load(path)
    assert str(path) in str(caught.value) and "delete" in str(caught.value)


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be written") as caught:
        save(tmp_path / "file" / "run.pt", state(1))
    assert "space left" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_an_input_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            save(tmp_path / "run.pt", state(1))
    finally:
        tmp_path.chmod(0o700)


def test_what_a_killed_writer_left_behind_is_removed_and_a_young_part_is_not(path):
    path.parent.mkdir()
    old, young, other = (path.with_name(f".{n}.0.part") for n in ("run.pt", "run.pt.1", "b.pt"))
    for part in (old, young, other):
        part.write_bytes(b"half")
    for part in (old, other):
        os.utime(part, (0, 0))
    save(path, state(1))
    assert sorted(os.listdir(path.parent)) == sorted([young.name, other.name, "run.pt"])


class Malicious:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


def test_nothing_but_tensors_and_plain_values_is_ever_unpickled(path, tmp_path):
    witness = tmp_path / "executed"
    path.parent.mkdir()
    torch.save({"trap": Malicious(witness)}, path)
    with pytest.raises(InputError, match="damaged"):
        load(path)
    path.write_bytes(pickle.dumps(Malicious(witness)))
    with pytest.raises(InputError):
        load(path)
    assert not witness.exists()


def test_two_runs_of_the_same_training_may_write_at_the_same_time(path):
    """Two notebooks may need one warm-up at once: both write it, and nobody meets half a file."""
    problems = []

    def write_and_read() -> None:
        try:
            for number in range(60):
                save(path, state(number))
                number_of(load(path))
        except BaseException as error:
            problems.append(error)

    writers = [threading.Thread(target=write_and_read) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert problems == []
    assert number_of(load(path)) == 59
    assert sorted(os.listdir(path.parent)) == ["run.pt", "run.pt.previous"]
