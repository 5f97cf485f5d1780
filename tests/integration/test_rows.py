"""`make rows`: written as they end, found again, boxed in time, by workers as well as here."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from ssl_lib.evaluation.results import read_rows
from ssl_lib.reports import rows as module
from ssl_lib.reports.rows import Done, Folders, Row, main, run, train_row

ROW = Row("phantom", "smoke", 4, 0, "supervised_few")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(runs=str(tmp_path / "runs"), results=str(tmp_path / "results"))


def test_a_row_is_trained_written_and_found_again(folders):
    first = train_row(ROW, folders)
    assert not first.found
    (stored,) = read_rows(folders.results)
    assert stored["rows"]["supervised_few"]["dice"] == first.dice
    again = train_row(ROW, folders)
    assert again.found and again.dice == first.dice


def test_a_row_stored_with_another_setting_is_not_taken_for_this_one(folders):
    train_row(ROW, folders)
    other = replace(ROW, overrides=(("schedule.learning_rate", 0.01),))
    assert not train_row(other, folders).found
    (stored,) = read_rows(folders.results)
    assert stored["rows"].keys() == {
        "supervised_few",
        "supervised_few[schedule.learning_rate=0.01]",
    }
    rates = [row["parameters"]["schedule"]["learning_rate"] for row in stored["rows"].values()]
    assert len(set(rates)) == 2


def test_another_draw_of_the_labelled_scans_is_another_row_and_told_apart(folders):
    first, other = train_row(ROW, folders), train_row(replace(ROW, draw=1), folders)
    assert not other.found and other.dice != first.dice
    (published,) = read_rows(folders.results)
    assert published["rows"]["supervised_few"]["dice"] == first.dice
    (drawn,) = read_rows(folders.results, labelled_draw=1)
    assert drawn["rows"]["supervised_few"]["labelled_draw"] == 1
    assert drawn["labelled_ids"] != published["labelled_ids"]
    assert len(read_rows(folders.results, labelled_draw=None)) == 2
    assert train_row(replace(ROW, draw=1), folders).found


def test_a_method_with_several_networks_gives_the_row_of_their_average(folders):
    train_row(replace(ROW, method="dsaif_ablation"), folders)
    (stored,) = read_rows(folders.results)
    assert stored["rows"].keys() == {"dsaif_ablation", "dsaif_ablation_ensemble"}


def test_workers_give_the_same_rows(folders, tmp_path):
    asyncio.set_event_loop(None)  # as after a notebook or a browser in the same process
    apart = Folders(runs=str(tmp_path / "runs 2"), results=str(tmp_path / "results 2"))
    rows = [replace(ROW, seed=seed) for seed in range(2)]
    here = {done.row: done.dice for done in run(rows, folders, say=list)}
    there = {done.row: done.dice for done in run(rows, apart, jobs=2, say=list)}
    assert here == pytest.approx(there, abs=1e-3), "another number of threads: rounding alone"
    assert len(here) == 2


def test_nothing_starts_that_cannot_end_in_time(folders, monkeypatch):
    now, said = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def slow(row: Row, folders: Folders) -> Done:
        now[0] += 50.0
        return Done(row, 0.5, 50.0)

    monkeypatch.setattr(module, "train_row", slow)
    rows = [replace(ROW, seed=seed) for seed in range(3)]
    done = run(rows, folders, minutes=2, say=said.append)
    assert [one.row.seed for one in done] == [0, 1]
    assert "seed2" in said[-1] and "not finished in the time given" in said[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "bpc"], "no method 'bpc'"),
        (["--config", "alpa=1"], "no parameter 'alpa'"),
        (["--config", "alpha"], "is no parameter"),
        (["--settings", "widht=3", "--profile", "smoke"], "no setting 'widht'"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_trained(arguments, words, tmp_path, capsys):
    where = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["--methods", "bcp", *arguments, *where]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json"))
