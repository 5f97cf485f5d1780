"""A study: runs found again by what decides them, and no hidden label that decides a weight."""

from __future__ import annotations

import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tiny_study
import torch
from tiny_study import RAN, hashes, method, row, train, warm_up

from ssl_lib.data.cohort import Case, Cohort, SealedLabels
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.metrics import SCORES
from ssl_lib.evaluation.result_form import ROW_KEYS
from ssl_lib.evaluation.results import read_results, score_cohort, write_result
from ssl_lib.methods import METHODS, baselines
from ssl_lib.notebook.source import load_method
from ssl_lib.training import run_key, study
from ssl_lib.training.loop import Training
from ssl_lib.training.losses import dice_linear, dice_squared_all
from ssl_lib.training.run_key import RECIPE_VERSION, changed_fields, step_identity, step_source
from ssl_lib.training.study import Study, weights_hash
from ssl_lib.utils.errors import InputError


@lru_cache
def cohort(dimensions: int = 2) -> Cohort:
    return phantom_cohort(2, dimensions=dimensions, max_scans=6)


def tiny(runs_dir: Path | None = None, **changes: object) -> Study:
    changes.setdefault("cohort", cohort())
    return tiny_study.tiny_study(runs_dir, **changes)


@lru_cache
def trained() -> tuple[Study, Training]:
    made = tiny()
    return made, train(made)


def variant(networks, batch, moment):
    output = warm_up(networks, batch, moment)
    return replace(output, losses={name: 0.5 * term for name, term in output.losses.items()})


def test_rows_share_the_warm_up_and_finished_runs_are_not_repeated(tmp_path):
    made = tiny(tmp_path)
    RAN.warm_up = RAN.method = 0
    supervised = made.train(row("supervised", warm_up))
    first, both = made.settings.warm_up, made.settings.warm_up + made.settings.schedule.iterations
    assert RAN.warm_up == both and len(list(tmp_path.iterdir())) == 2
    semi = train(made)
    assert (RAN.warm_up, RAN.method) == (both, both - first)
    assert len(list(tmp_path.iterdir())) == 3
    assert semi.history[:first] == supervised.history[:first]
    again = train(made)
    assert (RAN.warm_up, RAN.method) == (both, both - first)
    assert hashes(again) == hashes(semi) and again.history == semi.history


def test_a_study_without_a_folder_stores_nothing_and_ends_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made, done = trained()
    assert hashes(train(tiny(tmp_path / "runs"))) == hashes(done)
    assert hashes(train(made)) == hashes(done)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_both_stages_make_one_history():
    made, done = trained()
    total = made.settings.warm_up + made.settings.schedule.iterations
    assert [row["iteration"] for row in done.history] == list(range(1, total + 1))
    assert "consistency" not in done.history[made.settings.warm_up - 1]
    assert "consistency" in done.history[made.settings.warm_up]
    assert [iteration for iteration, _ in done.validation] == [3, 6, 10, 14]
    assert all(0 <= dice <= 1 for _, dice in done.validation)


def test_snapshots_show_the_first_unlabelled_scan():
    made, done = trained()
    assert made.snapshot_case is made.cohort.unlabelled[0]
    shape = made.snapshot_case.image.shape
    assert [frame["iteration"] for frame in done.snapshots] == [3, 6, 10, 14]
    for frame in done.snapshots:
        assert frame["label"].shape == frame["confidence"].shape == shape
        assert frame["label"].dtype == frame["confidence"].dtype == torch.uint8
        assert frame["confidence"].min() >= 255 // 4
    final = made.predict(done.networks.teacher, [made.snapshot_case])[made.snapshot_case.case_id]
    assert np.array_equal(done.snapshots[-1]["label"].numpy(), final)


def test_a_score_has_every_key_of_a_row():
    made, done = trained()
    row = made.score(done)
    missing = ROW_KEYS.keys() - row.keys()
    assert not missing
    assert row["iterations"] == 14 and row["labels_used"] == 2
    assert row["seconds"] == done.seconds > 0
    assert row["validation_curve"] == [list(pair) for pair in done.validation]
    best = max(dice for _, dice in done.validation)
    assert row["validation_best"]["dice"] == best
    assert {entry["id"] for entry in row["per_case"]} == {c.case_id for c in made.cohort.test}
    assert len(row["per_case"]) == len(made.cohort.test) * 3
    assert set(SCORES) <= row.keys()


def test_a_perfect_prediction_would_be_scored_as_one(monkeypatch):
    made, done = trained()
    truth = {c.case_id: made.cohort.sealed.open(c.case_id, "final score") for c in cohort().test}
    monkeypatch.setattr(study, "predict_cohort", lambda *_, **__: truth)
    assert made.score(done)["dice"] == pytest.approx(1)
    truth |= {c.case_id: c.label for c in cohort().validation}
    assert made.validate(done.networks.student) == pytest.approx(1)


def with_other_truths(original: Cohort) -> Cohort:
    """The same cohort, but every sealed label is all background with one voxel of class 3."""
    false = np.zeros(original.test[0].image.shape, np.uint8)
    false[0, 0, 0] = 3
    hidden = [case.case_id for case in original.unlabelled + original.test]
    return replace(original, sealed=SealedLabels({name: false.copy() for name in hidden}))


def test_hidden_labels_decide_no_weight_and_nothing_that_is_logged():
    _, done = trained()
    changed = with_other_truths(cohort())
    assert changed.content_hash != cohort().content_hash
    made = tiny(cohort=changed)
    other = train(made)
    assert hashes(other) == hashes(done)
    assert other.history == done.history and other.validation == done.validation
    assert sums_of_best(other) == sums_of_best(done)
    for one, two in zip(other.snapshots, done.snapshots, strict=True):
        assert torch.equal(one["label"], two["label"])
    assert made.score(other)["dice"] != trained()[0].score(done)["dice"]


def sums_of_best(done: Training) -> list[float]:
    return [tensor.double().sum().item() for tensor in done.best["weights"].values()]


def test_labels_that_may_be_seen_do_decide():
    first, second = cohort().labelled
    swapped = (replace(first, label=np.roll(first.label, 9, axis=1)), second)
    other = train(tiny(cohort=replace(cohort(), labelled=swapped)))
    assert hashes(other) != hashes(trained()[1])


def test_test_images_decide_no_weight():
    blank = tuple(replace(case, image=np.zeros_like(case.image)) for case in cohort().test)
    assert hashes(train(tiny(cohort=replace(cohort(), test=blank)))) == hashes(trained()[1])


def test_the_reference_row_has_all_labels_and_another_hash():
    made = tiny()
    full = made.with_all_labels()
    assert [len(full.cohort.labelled), len(full.cohort.unlabelled)] == [3, 0]
    assert full.cohort.content_hash != made.cohort.content_hash
    assert full.key(warm_up) != made.key(warm_up)
    done = full.train(row("supervised_all", warm_up))
    assert full.score(done)["labels_used"] == 3 and done.snapshots == []
    with pytest.raises(InputError, match="no scan for one of the two streams"):
        train(full)


def test_the_label_curve_takes_the_first_scans():
    one = tiny().with_labels(1).cohort
    assert [case.case_id for case in one.labelled] == ["subject_001"]
    assert one.test == cohort().test
    three = tiny().with_labels(3).cohort
    assert three.content_hash == tiny().with_all_labels().cohort.content_hash


def test_three_dimensions_go_the_same_way():
    made = tiny(
        cohort=cohort(3),
        patch=(16, 16, 16),
        warm_up=1,
        looks=1,
        schedule=replace(tiny().settings.schedule, iterations=1),
    )
    done = train(made)
    assert made.predict(done.networks.student, cohort(3).test[:1])["subject_073"].shape == (
        cohort(3).test[0].image.shape
    )
    assert len(done.validation) == 2


def test_networks_are_numbered_and_seeded():
    made = tiny()
    assert weights_hash(made.network()) == weights_hash(made.network(0))
    others = {weights_hash(made.network(1)), weights_hash(tiny(seed=1).network())}
    assert len(others | {weights_hash(made.network())}) == 3


def test_opening_by_name_reads_the_smoke_profile_in_small(tmp_path):
    made = Study.open("phantom", "smoke", 2, 7, runs_dir=tmp_path)
    assert sum(map(len, made.cohort.groups.values())) <= 12 and made.seed == 7
    assert made.runs_dir == tmp_path and made.settings.width == 4
    with pytest.raises(InputError, match="unknown profile"):
        Study.open("phantom", "slow", 2, 0)


def test_a_notebooks_file_names_rows_that_others_have_stored_where_it_asks_for_them(tmp_path):
    made, done = trained()
    other = replace(made, seed=1)
    for one, rows in ((made, ("first", "second", "third")), (other, ("fourth",))):
        one.save("00_x", "phantom", dict.fromkeys(rows, done), tmp_path)
    wanted = ("first", "second", "fourth")
    made.save("08_y", "phantom", {"second": done, "new": done}, tmp_path, also=wanted)
    (found,) = read_results(tmp_path, "08_y")
    assert list(found["rows"]) == ["first", "second", "new"], "no other seed, and none unasked"
    (alone,) = read_results(tmp_path, "00_x", cohort_hash=None)[:1]
    assert found["rows"]["first"] == alone["rows"]["first"]


# What enters the name of a run


def key(step: Callable, *more: object, **changes: object) -> str:
    return tiny(**changes).key(step, *more)


def test_a_draw_labels_other_scans_and_its_result_lies_beside_the_data_sets_own(tmp_path):
    own, other = (
        Study.open("phantom", "smoke", 2, 0, labelled_draw=draw, data_dir=tmp_path)
        for draw in (0, 3)
    )
    assert [c.case_id for c in own.cohort.labelled] != [c.case_id for c in other.cohort.labelled]
    assert [c.case_id for c in own.cohort.test] == [c.case_id for c in other.cohort.test]
    results = []
    for one in (own, other):
        perfect = {
            c.case_id: one.cohort.sealed.open(c.case_id, "final score") for c in one.cohort.test
        }
        scored = {"row": score_cohort(perfect, one.cohort)}
        results.append(one.result("00_x", "phantom", scored))
    names = [write_result(result, tmp_path).name for result in results]
    assert names == ["phantom-smoke-n2-seed0.json", "phantom-smoke-n2-draw3-seed0.json"]
    (found,) = read_results(tmp_path, "00_x")
    assert found["cohort_hash"] == own.cohort.content_hash, "draws are never mixed"
    (found,) = read_results(tmp_path, cohort_hash=other.cohort.content_hash)
    assert found["labelled_draw"] == 3


def test_the_name_is_the_same_for_the_same_run():
    assert key(method) == key(method) == key(method, seed=0)


def test_the_name_knows_the_step_the_seed_the_settings_and_the_cohort():
    names = [
        key(method),
        key(warm_up),
        key(method, "after"),
        key(method, seed=1),
        key(method, width=8),
        key(method, schedule=replace(tiny().settings.schedule, teacher_decay=0.9)),
        key(method, cohort=with_other_truths(cohort())),
        key(partial(method, sharpness=2)),
        key(partial(method, sharpness=3)),
        key(partial(method, dice=dice_linear)),
        key(partial(method, dice=dice_squared_all)),
    ]
    assert len(set(names)) == len(names)
    assert names[-1] == key(partial(method, dice=dice_squared_all))


def test_a_librarys_step_is_known_by_its_name_and_the_version_of_the_recipe(monkeypatch):
    step = METHODS["bcp"].step
    before = key(step)
    known = step_identity(step)
    assert (known["step"], known["recipe"]) == ("bcp_step", RECIPE_VERSION)
    assert known["config"]["alpha"] == 0.5 and known["config"]["dice"] == "dice_squared_all"
    monkeypatch.setattr(run_key, "RECIPE_VERSION", RECIPE_VERSION + 1)
    assert key(step) != before


def test_a_step_that_moves_to_another_module_keeps_its_key(monkeypatch):
    step = METHODS["mean_teacher"].step
    moved = ModuleType("ssl_lib.methods.elsewhere")
    namespace = vars(moved)
    exec(compile(inspect.getsource(baselines), baselines.__file__, "exec"), namespace)
    monkeypatch.setitem(sys.modules, moved.__name__, moved)
    assert namespace["mean_teacher_step"] is not step
    assert key(namespace["mean_teacher_step"]) == key(step)


def test_a_field_that_is_new_and_at_its_default_changes_no_key():
    @dataclass(frozen=True)
    class Before:
        width: int
        looks: int = 5

    @dataclass(frozen=True)
    class After(Before):
        margin: int = 0

    assert changed_fields(Before(8)) == changed_fields(After(8)) == {"width": 8}
    assert changed_fields(After(8, margin=2)) == {"width": 8, "margin": 2}


NOTEBOOK = '''
# %% tags=["parameters"]
SEED = 0

# %% tags=["setup"]
import torch
from ssl_lib.training.losses import dice_linear
from ssl_lib.training.loop import StepOutput

GAMMA = 0.5
WEIGHTS = [1.0, 2.0]
DICE = dice_linear

# %% tags=["definition"]
class Sharpen:
    power = 2.0

    def __call__(self, x):
        return x ** self.power

# %% tags=["definition"]
@torch.no_grad()
def pseudo_label(maps, temperature=GAMMA):
    return helper(maps) / temperature

# %% tags=["definition"]
def helper(maps):
    return Sharpen()(maps).softmax(1)

# %% tags=["definition"]
def with_weight(weight):
    def step(networks, batch, moment):
        """Uses all of the above."""
        target = pseudo_label(networks.teacher(batch.unlabelled))
        return StepOutput({"loss": weight * WEIGHTS[0] * DICE(target, target)})

    return step

# %% tags=["figure"]
iteration = 7
losses = "a name that the step has as an attribute only"
'''


def loaded(folder: Path, text: str) -> ModuleType:
    script = folder / "99_method.py"
    script.write_text(text)
    return load_method(script)


def name_of(folder: Path, text: str = NOTEBOOK, weight: float = 1.0) -> list[str]:
    return step_source(loaded(folder, text).with_weight(weight))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Uses all of the above", "Uses nearly all"),
        ("helper(maps) / temperature", "helper(maps) * temperature"),
        (".softmax(1)", ".softmax(0)"),
        ("GAMMA = 0.5", "GAMMA = 0.6"),
        ("WEIGHTS = [1.0, 2.0]", "WEIGHTS = [1.5, 2.0]"),
        ("DICE = dice_linear", "from ssl_lib.training.losses import dice_squared_all as DICE"),
        ("x ** self.power", "x * self.power"),
        ("power = 2.0", "power = 3.0"),
    ],
)
def test_the_name_knows_all_that_a_step_calls_and_every_constant(tmp_path, old, new):
    assert old in NOTEBOOK
    assert name_of(tmp_path, NOTEBOOK.replace(old, new)) != name_of(tmp_path)


def test_the_name_knows_what_a_step_closes_over(tmp_path):
    assert name_of(tmp_path, weight=1.0) != name_of(tmp_path, weight=2.0)


@pytest.mark.parametrize(
    ("old", "new"), [("iteration = 7", "iteration = 8"), ("SEED = 0", "SEED = 1")]
)
def test_the_name_knows_nothing_of_cells_that_the_step_does_not_use(tmp_path, old, new):
    assert name_of(tmp_path, NOTEBOOK.replace(old, new)) == name_of(tmp_path)


def test_a_step_has_the_same_name_in_its_notebook_and_loaded_from_it(tmp_path):
    """Cell by cell as IPython runs them: all cells, each a file of its own, in `__main__`."""
    space = {"__name__": "__main__"}
    for number, cell in enumerate(NOTEBOOK.split("# %% ")[1:]):
        source = textwrap.dedent(cell.split("\n", 1)[1])
        name = f"/nowhere/{number}.py"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), space)
    in_notebook = step_source(space["with_weight"](1.0))
    assert any("helper" in line for line in in_notebook)
    assert in_notebook == name_of(tmp_path)


def test_the_name_knows_another_notebook_that_a_step_uses(tmp_path):
    def made(text: str) -> list[str]:
        base = loaded(tmp_path, text)
        helper = base.helper

        def through_the_module(networks, batch, moment):
            return base.helper(batch)

        def through_a_name(networks, batch, moment):
            return helper(batch)

        return [step_source(through_the_module), step_source(through_a_name)]

    before, after = made(NOTEBOOK), made(NOTEBOOK.replace(".softmax(1)", ".softmax(0)"))
    assert all(one != two for one, two in zip(before, after, strict=True))


def test_a_step_that_is_no_function_is_refused():
    class Step:
        def __call__(self, networks, batch, moment): ...

    with pytest.raises(InputError, match="the step is a Step"):
        step_source(Step())


def test_no_address_is_in_a_name():
    lines = step_source(partial(method, case=Case("a", "a", np.zeros(1), (1.0,)), loss=warm_up))
    assert not any(" at 0x" in line for line in lines)


@pytest.mark.usefixtures("misuse")
@pytest.mark.parametrize("seed", [-1, 1.5, True, "0", None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(InputError, match="SEED: the seed is"):
        tiny_study.tiny_study(seed=seed)


def test_labels_for_all_scans_are_refused_as_too_many_are():
    with pytest.raises(InputError, match="no unlabelled one is left"):
        Study.open("phantom", "smoke", n_labelled=64, seed=0)
    assert len(Study.open("phantom", "smoke", n_labelled=63, seed=0).cohort.unlabelled) == 1
