"""No training sees a hidden label: searched for by hand, counted at the door, and tried by lying.

`test_cohorts` shows that a cohort keeps its labels sealed, `test_study` that they decide no weight
of a toy method, `test_sources` that published splits share no patient.
Here are the methods of the notebooks, and what their steps can reach.
"""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType, MethodType, ModuleType

import numpy as np
import pytest
import tiny_study
import torch
from tiny_study import tiny_settings

from ssl_lib.data.cohort import Case, Cohort, SealedLabels
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.methods import METHODS as REGISTRY
from ssl_lib.notebook.files import cell_tags, read_cells
from ssl_lib.notebook.source import NOTEBOOKS_DIR
from ssl_lib.training.loop import Schedule
from ssl_lib.training.study import Study, Training, weights_hash

MARK = 3
"""The class that only hidden labels hold, so that it betrays them wherever it turns up."""
LEAST = 64
"""Voxels from which an array counts as a label map: counters and class numbers are smaller."""
METHODS = ("mean_teacher", "bcp", "umct", "aau", "dsaif")


@pytest.fixture(scope="module")
def marked() -> Cohort:
    """A cohort whose visible labels have no voxel of the class `MARK`, hidden ones nothing else."""
    cohort = phantom_cohort(2, max_scans=8)
    return with_hidden(replace(cohort, **{
        group: tuple(replace(case, label=visible(case.label)) for case in cohort.groups[group])
        for group in ("labelled", "validation")
    }), lambda name, label: np.full_like(label, MARK))  # fmt: skip


def visible(label: np.ndarray) -> np.ndarray:
    return np.where(label == MARK, 0, label)


def with_hidden(cohort: Cohort, change: Callable[[str, np.ndarray], np.ndarray]) -> Cohort:
    """The same cohort with other hidden labels."""
    hidden = [case.case_id for case in cohort.unlabelled + cohort.test]
    labels = {name: change(name, cohort.sealed.open(name, "final score")) for name in hidden}
    return replace(cohort, sealed=SealedLabels(labels))


def small(cohort: Cohort, runs_dir: Path | None = None) -> Study:
    """A study that trains a method of a notebook in a second."""
    schedule = Schedule(iterations=2, learning_rate=3e-3, teacher_decay=0.8)
    settings = tiny_settings(warm_up=2, schedule=schedule, looks=1)
    return Study(cohort, settings, "smoke", 0, tiny_study.CPU, runs_dir)


def trained(study: Study, method: str) -> dict[str, Training]:
    """The rows of one method, trained as the notebooks do."""
    return study.rows(REGISTRY[method])


# --- what can be reached


def reachable(*start: object) -> Iterator[object]:
    """Everything that these objects lead to: attributes, private ones too, containers, closures,
    bound objects and arrays behind views. Modules, classes and global names are not followed (all
    of Python is behind them), and the seal is not broken."""
    waiting, seen = list(start), set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (ModuleType, type, FrameType)):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, SealedLabels):
            continue
        if isinstance(one, FunctionType):
            cells = [cell.cell_contents for cell in one.__closure__ or ()]
            waiting += [*cells, *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        elif isinstance(one, MethodType):
            waiting += [one.__self__, one.__func__]
        else:
            waiting += gc.get_referents(one)
            waiting += [getattr(one, "base", None)] if isinstance(one, np.ndarray) else []


def leaks(objects: Iterator[object]) -> list[tuple[int, ...]]:
    """Shapes of the arrays and tensors of whole numbers that hold the mark."""
    arrays = [
        one.detach().cpu().numpy() if isinstance(one, torch.Tensor) else one
        for one in objects
        if isinstance(one, (np.ndarray, torch.Tensor))
    ]
    return [a.shape for a in arrays if a.size >= LEAST and a.dtype.kind in "iu" and MARK in a]


def test_the_search_would_find_a_hidden_label(marked):
    hidden = marked.sealed.open(marked.test[0].case_id, "final score")
    step = partial(lambda networks, secret: secret, secret={"deep": [hidden[0]]})
    bound = MethodType(lambda self: None, Case("x", "x", marked.test[0].image, (1.0,), hidden))
    assert leaks(reachable(step)) and leaks(reachable(bound))
    assert leaks(reachable(lambda: hidden)) and leaks(reachable(torch.tensor(hidden).long()))
    assert leaks(iter(gc.get_referents(vars(marked.sealed)["_SealedLabels__labels"])))


def test_nothing_that_a_study_shows_is_a_hidden_label(marked):
    found = list(reachable(small(marked)))
    assert any(isinstance(one, SealedLabels) for one in found), "the search came to the seal"
    assert any(one is marked.labelled[0].label for one in found), "and to visible labels"
    assert leaks(iter(found)) == []


def test_nothing_that_a_step_receives_leads_to_a_hidden_label(marked):
    """Or to any scan but those of its batch: not even to the cohort."""
    received = []

    def spy(networks, batch, moment):
        received.append(leaks(reachable(networks, batch, moment)))
        kinds = (Cohort, Case, SealedLabels, Study)
        received.append(
            [one for one in reachable(networks, batch, moment) if isinstance(one, kinds)]
        )
        assert batch.labels.max() < MARK
        return tiny_study.method(networks, batch, moment)

    small(marked).train(tiny_study.row("spy", spy, teacher=True))
    assert len(received) == 4 and not any(received)


# --- what is opened, and when


@pytest.fixture
def openings(monkeypatch) -> list[tuple[str, str]]:
    """Every opening of a sealed label from now on, as (scan, purpose)."""
    made: list[tuple[str, str]] = []
    unwatched = SealedLabels.open

    def watched(self, case_id, purpose):
        made.append((case_id, purpose))
        return unwatched(self, case_id, purpose)

    monkeypatch.setattr(SealedLabels, "open", watched)
    return made


@pytest.mark.parametrize("method", METHODS)
def test_no_method_opens_a_label_before_it_is_scored(method, marked, openings, tmp_path):
    """Training, validating, taking snapshots and choosing the best weights open none; the score
    then opens the label of every test scan and of no other."""
    study = small(marked, tmp_path)
    rows = trained(study, method)
    assert openings == []
    assert all(np.isfinite(dice) for row in rows.values() for _, dice in row.validation)
    study.save("06_your_own_scans", "marked", rows, tmp_path / "results")
    tests = [(case.case_id, "final score") for case in marked.test]
    assert openings == tests * (2 * len(rows)), "once more for the largest parts alone"
    openings.clear()
    trained(small(marked, tmp_path), method)
    assert openings == [], "found again, a training opens none either"


@pytest.mark.parametrize("method", METHODS)
def test_a_test_curve_opens_test_scans_only_and_changes_no_bit(method, marked, openings, tmp_path):
    """The oracle is stored beside the training: no weight and no other number differs by it."""
    plain = small(marked, tmp_path).rows(REGISTRY[method])
    assert openings == []
    quiet = small(marked, tmp_path)
    study = replace(quiet, settings=replace(quiet.settings, test_curve=True))
    watched = trained(study, method)
    tests = {case.case_id for case in marked.test}
    assert {purpose for _, purpose in openings} == {"test curve"}
    assert {name for name, _ in openings} == tests
    for name, row in plain.items():
        first, second = row.networks.student, watched[name].networks.student
        assert weights_hash(first) == weights_hash(second)
        assert row.validation == watched[name].validation
        assert row.test_curve == []
    row = watched[method]
    scored = study.score(row)
    assert scored["test_curve"] == [list(pair) for pair in row.test_curve]
    assert [i for i, _ in row.test_curve] == [i for i, _ in row.validation]
    assert scored["test_curve"][-1][1] == pytest.approx(study.test_dice(row.networks.student))
    assert row.best["dice"] == max(dice for _, dice in row.validation[-1:])
    assert {"dice", "per_case"} <= scored["best_on_validation"].keys()
    assert "test_curve" not in small(marked).score(plain[method])


def test_only_the_reference_row_opens_labels_of_unlabelled_scans(marked, openings):
    small(marked).with_all_labels()
    wanted = {(case.case_id, "fully supervised reference") for case in marked.unlabelled}
    assert wanted <= set(openings)
    assert {name for name, purpose in openings if purpose != "final score"} == {
        case.case_id for case in marked.unlabelled
    }


# --- what changes nothing


@pytest.mark.parametrize("method", METHODS)
def test_hidden_labels_change_no_bit_of_any_method(method, marked, tmp_path):
    """Two trainings, each with runs of its own: once all hidden labels say one class, once they are
    noise, and the labels of the test scans have changed places."""
    random = np.random.default_rng(0)
    other = with_hidden(marked, lambda name, label: random.integers(0, 4, label.shape, np.uint8))
    assert other.content_hash != marked.content_hash
    ended = []
    for number, cohort in enumerate((marked, other)):
        rows = trained(small(cohort, tmp_path / str(number)), method)
        ended.append(
            {
                name: (
                    [weights_hash(network) for network in row.networks.changing.values()],
                    row.validation,
                    row.history,
                    row.best.get("iteration"),
                )
                for name, row in rows.items()
            }
        )
    assert ended[0] == ended[1]


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS_DIR.glob("0*.py")), ids=lambda p: p.stem)
def test_no_definition_of_a_notebook_mentions_the_seal(notebook):
    """Definitions are what methods and other notebooks are made of: none may open a label."""
    for cell in read_cells(notebook):
        if cell.cell_type == "code" and "definition" in cell_tags(cell):
            names = {
                n.attr for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Attribute)
            }
            assert not names & {"sealed", "with_all_labels", "with_labels"}, cell.source[:200]
