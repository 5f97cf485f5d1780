"""Classic defects of this field, each switched on in a copy of the code: our tests must see them.

A defect is a small change of one line, the kind that trains without an error and costs points or
lends them. The tests named with it must fail in the copy; that they pass in the real code is what
the rest of the suite shows. The line must be there exactly once, so the list cannot go stale.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIRST, CLASSIC, SECOND, THIRD, NEWER = (
    f"ssl_lib/methods/{name}.py" for name in ("baselines", "classic", "bcp", "umct", "newer")
)
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Defect:
    """`sound` in `file` becomes `broken`; some test of `tests` (file, part of the name) notices."""

    name: str
    file: str
    sound: str
    broken: str
    tests: tuple[str, str]


AVERAGE = "torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - decay)"
DEFECTS = (
    Defect(
        "the teacher takes gradients",
        "ssl_lib/models/teacher.py",
        "teacher.requires_grad_(False)",
        "teacher.requires_grad_(True)",
        ("teacher", "takes_no_gradient"),
    ),
    Defect(
        "the average never moves",
        "ssl_lib/models/teacher.py",
        AVERAGE,
        AVERAGE.replace("1 - decay", "0.0"),
        ("teacher", "average_is_exact"),
    ),
    Defect(
        "the average runs the wrong way",
        "ssl_lib/models/teacher.py",
        AVERAGE,
        AVERAGE.replace("1 - decay", "decay"),
        ("teacher", "average_is_exact"),
    ),
    Defect(
        "the average forgets the statistics that were asked for",
        "ssl_lib/models/teacher.py",
        "    if buffers:",
        "    if False:",
        ("teacher", "statistics_are_averaged"),
    ),
    Defect(
        "the softmax runs over an axis of space",
        "ssl_lib/training/losses.py",
        "log_softmax(1)\n    overlap",
        "log_softmax(2)\n    overlap",
        ("losses", "perfect_prediction"),
    ),
    Defect(
        "the pseudo-label is not detached",
        THIRD,
        "with torch.no_grad(), evaluating(network):\n        for module",
        "with torch.enable_grad(), evaluating(network):\n        for module",
        ("umct", "passes_leave_modes_and_gradients_alone"),
    ),
    Defect(
        "the mask is inverted",
        "ssl_lib/training/augmentation.py",
        "if inside.ndim > mask.ndim else region, inside, outside)",
        "if inside.ndim > mask.ndim else region, outside, inside)",
        ("augmentation", "paste"),
    ),
    Defect(
        "an empty prediction has distance 0",
        "ssl_lib/evaluation/metrics.py",
        "0.0, 0.0, _NAN, _NAN, empty_prediction",
        "0.0, 0.0, 0.0, 0.0, empty_prediction",
        ("metrics", "empty_masks"),
    ),
    Defect(
        "the voxel size is ignored",
        "ssl_lib/evaluation/metrics.py",
        "distance_transform_edt(~true_surface, sampling=spacing)",
        "distance_transform_edt(~true_surface)",
        ("metrics", "brute_force"),
    ),
    Defect(
        "two networks are one and the same",
        "ssl_lib/training/study.py",
        'seed=derived_seed(self.seed, "weights", member)',
        'seed=derived_seed(self.seed, "weights", 0)',
        ("members", "own_initial_weights"),
    ),
    Defect(
        "a view is not turned back",
        THIRD,
        "inverse = [first + order.index(axis) for axis in range(len(order))]",
        "inverse = [first + axis for axis in order]",
        ("umct", "comes_back_exactly"),
    ),
    Defect(
        "a view is taught by itself",
        THIRD,
        "for view in range(len(means)) if view != own]",
        "for view in range(len(means))]",
        ("umct", "never_teaches_itself"),
    ),
    Defect(
        "the threshold of uncertainty never fires",
        CLASSIC,
        "return (0.75 + 0.25 * ramp) *",
        "return (7.5 + 0.25 * ramp) *",
        ("aau", "gate"),
    ),
    Defect(
        "two networks are each taught by themselves",
        CLASSIC,
        "cross_entropy(first, classes[1]) + cross_entropy(second, classes[0])",
        "cross_entropy(first, classes[0]) + cross_entropy(second, classes[1])",
        ("dsaif", "taught_the_others"),
    ),
    Defect(
        "the threshold keeps the unsure voxels",
        NEWER,
        "trust = (confidence >= threshold).float()",
        "trust = (confidence < threshold).float()",
        ("newer", "above_the_threshold"),
    ),
    Defect(
        "dropped channels make all features smaller",
        NEWER,
        "spread.to(feature.dtype) / (1 - rate)",
        "spread.to(feature.dtype)",
        ("newer", "keep_their_mean"),
    ),
    Defect(
        "two crops are compared beyond their overlap",
        NEWER,
        "both = shown[0] * shown[1]",
        "both = torch.ones_like(shown[0])",
        ("newer", "overlap_alone"),
    ),
    Defect(
        "a weak view keeps its label where the strong one got a box",
        NEWER,
        "paste(one.roll(1, 0), one, boxes) for one in (views, *repeated)]",
        "paste(one.roll(1, 0), one, boxes) for one in (views, *repeated[:1])] + repeated[1:]",
        ("newer", "carries_every_map_along"),
    ),
    Defect(
        "image and label move apart",
        "ssl_lib/training/augmentation.py",
        'F.grid_sample(floats, grid, mode="nearest", align_corners=False)',
        'F.grid_sample(floats, grid.flip(0), mode="nearest", align_corners=False)',
        ("augmentation", "move_together"),
    ),
    Defect(
        "the unlabelled region of a mixture counts where it must not",
        SECOND,
        "def bcp_step(\n    networks, batch, moment, *, alpha=0.5",
        "def bcp_step(\n    networks, batch, moment, *, alpha=1.0",
        ("bcp", "linear_dice"),
    ),
    Defect(
        "an unlabelled scan may carry its label",
        "ssl_lib/data/cohort.py",
        "if any(case.label is not None for case in self.unlabelled + self.test):",
        "if False:",
        ("cohorts", "where_none_may_be"),
    ),
    Defect(
        "a patient may be in two splits",
        "ssl_lib/data/cohort.py",
        "    if shared:\n",
        "    if False:\n",
        ("cohorts", "two_splits"),
    ),
    Defect(
        "the last scan of an epoch is dropped",
        "ssl_lib/training/batches.py",
        "epoch, place = divmod(position, len(self))",
        "epoch, place = divmod(position, len(self) - 1)",
        ("sampling", "visit_every_scan"),
    ),
    Defect(
        "every iteration draws the same random numbers",
        "ssl_lib/training/batches.py",
        '    random = np.random.default_rng(derived_seed(seed, stream, "epoch", epoch))',
        '    random = np.random.default_rng(derived_seed(seed, stream, "epoch", 0))',
        ("sampling", "reshuffled"),
    ),
    Defect(
        "normalisation stays in training mode at test time",
        "ssl_lib/inference.py",
        "    network.eval()\n",
        "    network.train()\n",
        ("inference", "own_mode_back"),
    ),
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its tests, without stored outputs."""
    folder = tmp_path_factory.mktemp("defects")
    hidden = shutil.ignore_patterns("__pycache__", "*.ipynb", ".*")
    for part in ("ssl_lib", "notebooks", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=hidden)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run_tests(folder: Path, tests: tuple[str, str]) -> tuple[int, str]:
    """Exit code and output of the chosen tests in a copy, until the first failure.

    They run in a fork of a process that has the large libraries in memory, and nothing of ours.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "scipy.ndimage", "matplotlib.figure", "hypothesis"])
    output = folder / "output.txt"
    process = context.Process(target=_run_pytest, args=(folder, tests, output))
    process.start()
    process.join(300)
    process.kill()
    return process.exitcode, output.read_text(encoding="utf-8")


def _run_pytest(folder: Path, tests: tuple[str, str], output: Path) -> None:
    """In a process of its own: the copy's code comes before the installed one."""
    file, part = tests
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["OMP_NUM_THREADS"] = "1"
    chosen = f"{part} and not gpu" if part else "not gpu"
    (path,) = folder.glob(f"tests/*/test_{file}.py")
    arguments = ["-x", "-q", "-p", "no:cacheprovider", str(path), "-k", chosen]
    with output.open("w", encoding="utf-8") as stream, redirect_stdout(stream):
        code = pytest.main(arguments)
    os._exit(int(code))


SHORT = (  # one of each kind; the others run with --long
    "the teacher takes gradients",
    "the softmax runs over an axis of space",
    "the mask is inverted",
    "an empty prediction has distance 0",
    "a view is not turned back",
    "a patient may be in two splits",
    "every iteration draws the same random numbers",
)


@pytest.mark.parametrize(
    "defect",
    [
        pytest.param(one, id=one.name, marks=() if one.name in SHORT else pytest.mark.long)
        for one in DEFECTS
    ],
)
def test_a_classic_defect_is_noticed(defect: Defect, copy: Path) -> None:
    file = copy / defect.file
    sound = file.read_text(encoding="utf-8")
    assert sound.count(defect.sound) == 1, "the list of defects is out of date"
    file.write_text(sound.replace(defect.sound, defect.broken), encoding="utf-8")
    try:
        code, output = run_tests(copy, defect.tests)
    finally:
        file.write_text(sound, encoding="utf-8")
    assert code == pytest.ExitCode.TESTS_FAILED, "no test failed:\n" + output[-2000:]


def test_without_a_defect_the_copy_is_sound(copy: Path) -> None:
    code, output = run_tests(copy, ("teacher", ""))
    assert code == pytest.ExitCode.OK, output[-2000:]
