"""Killed at any moment: nothing half-written, the next start goes on, and it ends the same."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from killing import Ended, Workshop, assert_whole, killed, number_of, some
from tiny_server import CONTENT, Server

from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.results import build_result, read_result

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks, limits and capabilities of Linux"
)


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    made = Workshop()
    yield made
    made.process.stdin.close()
    assert made.process.wait(120) == 0


# --- a training


@pytest.fixture(scope="module")
def undisturbed(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, dict]:
    """The training that nobody disturbs, and its result."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = shop("train", folder)
    assert ended.answer
    return ended, without_costs(folder)


def without_costs(folder: Path) -> dict:
    """The result of a training, without what it took and the state of the checkout."""
    (path,) = (folder / "results").glob("*/*.json")
    result = read_result(path)
    for costs in (result, *result["rows"].values()):
        for name in ("seconds", "peak_memory_bytes", "commit"):
            costs.pop(name, None)
    return json.loads(json.dumps(result))


def stored_iterations(folder: Path) -> dict[str, int]:
    """The latest iteration that any whole file of each run holds."""
    found: dict[str, int] = {}
    for path in (folder / "runs").glob("*/run.pt*"):
        iteration = torch.load(path, weights_only=True)["iteration"]
        found[path.parent.name] = max(iteration, found.get(path.parent.name, 0))
    return found


def assert_goes_on(ended: Ended, stored: dict[str, int]) -> None:
    """Every training that had a checkpoint began there, and no iteration was done twice."""
    done: dict[str, list[int]] = {}
    for line in ended.told("iteration"):
        run, iteration = line.split()
        done.setdefault(run, []).append(int(iteration))
    for run, iterations in done.items():
        assert iterations == list(range(stored.get(run, 0), iterations[-1] + 1))


def ends_alike(shop: Workshop, folder: Path, undisturbed: tuple[Ended, dict]) -> None:
    """After whatever happened to the folder, the next start goes on and ends as if nothing had."""
    assert_whole(folder)
    stored = stored_iterations(folder)
    ended = shop("train", folder)
    assert ended.answer == undisturbed[0].answer
    assert_goes_on(ended, stored)
    assert without_costs(folder) == undisturbed[1]
    assert_whole(folder)


MOMENTS = {
    "in an iteration of the method": ("iteration", -4, None),
    "in the middle of a checkpoint": ("open runs", 6, 5000),
    "between spare and checkpoint": (r"os.rename runs/\w+/run.pt$", 9, None),
    "in the middle of the results": ("open results", 0, 1000),
    "before anything": ("", 0, None),
    "before the first checkpoint has its name": ("os.rename", 0, None),
    "before the bytes are on the disk": ("fsync", -3, None),
    "between the trainings": ("os.remove", 0, None),
    "before the results have their name": ("os.rename results", 0, None),
    "an empty file": ("open runs", -2, 0),
}
SHORT = 4


@pytest.mark.parametrize(
    ("pattern", "which", "limit"),
    [
        pytest.param(*moment, id=name, marks=[pytest.mark.long] if number >= SHORT else [])
        for number, (name, moment) in enumerate(MOMENTS.items())
    ],
)
def test_a_killed_training_ends_with_the_same_bits(
    shop: Workshop, undisturbed, tmp_path: Path, pattern: str, which: int, limit: int | None
) -> None:
    moment = number_of(undisturbed[0].events, pattern, which)
    assert killed(shop("train", tmp_path, moment=moment, limit_bytes=limit))
    ends_alike(shop, tmp_path, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("number", range(20))
def test_a_training_killed_at_a_random_moment_ends_with_the_same_bits(
    shop: Workshop, undisturbed, tmp_path: Path, number: int
) -> None:
    moment = some(undisturbed[0].events, 20)[number]
    assert killed(shop("train", tmp_path, **moment))
    ends_alike(shop, tmp_path, undisturbed)


@pytest.mark.long
def test_a_training_killed_again_and_again_gets_to_its_end(
    shop: Workshop, undisturbed, tmp_path: Path
) -> None:
    kills, draw = 0, random.Random(1)
    while killed(shop("train", tmp_path, moment=draw.randrange(12))):
        assert_whole(tmp_path)
        kills += 1
        assert kills < 200, "it does not get on"
    assert kills > 5
    ends_alike(shop, tmp_path, undisturbed)


@pytest.mark.parametrize("one_is_killed", [False, pytest.param(True, marks=pytest.mark.long)])
def test_two_processes_that_train_the_same_at_once_end_with_the_same_bits(
    shop: Workshop, undisturbed, tmp_path: Path, one_is_killed: bool
) -> None:
    if one_is_killed:
        middle = len(undisturbed[0].events) // 2
        assert killed(shop("train", tmp_path, moment=middle))
    for ended in shop.all("train", tmp_path, times=2):
        assert ended.answer == undisturbed[0].answer
    assert without_costs(tmp_path) == undisturbed[1]
    assert_whole(tmp_path)


# --- a disk that takes no more


@pytest.mark.parametrize(
    ("pattern", "which", "done"),
    [("open runs", 5, 5), pytest.param("open results", 0, 14, marks=pytest.mark.long)],
)
def test_a_training_on_a_full_disk_says_so_and_goes_on_when_there_is_space(
    shop: Workshop, undisturbed, tmp_path: Path, pattern: str, which: int, done: int
) -> None:
    moment = number_of(undisturbed[0].events, pattern, which)
    ended = shop("train", tmp_path, moment=moment, limit_bytes=1000, full=True)
    (message,) = map(json.loads, ended.told("refused"))
    assert re.match(
        r".*/(run\.pt|phantom-\S*\.json): could not be written \(File too large\)", message
    )
    assert "with space left" in message
    assert sum(stored_iterations(tmp_path).values()) == done
    assert not list(tmp_path.rglob("*.part"))
    ends_alike(shop, tmp_path, undisturbed)


def test_a_training_in_a_read_only_folder_says_so(
    shop: Workshop, undisturbed, tmp_path: Path
) -> None:
    middle = number_of(undisturbed[0].events, "iteration", 5)
    shop("train", tmp_path, moment=middle)
    (run,) = (tmp_path / "runs").iterdir()
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    run.chmod(0o555)
    ended = shop("train", tmp_path, obedient=True)
    run.chmod(0o755)
    (message,) = map(json.loads, ended.told("refused"))
    assert re.match(r".*/run\.pt: could not be written \(Permission denied\)", message)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    ends_alike(shop, tmp_path, undisturbed)


# --- results


@pytest.fixture(scope="module")
def result() -> dict:
    """A small result as a template."""
    cohort = phantom_cohort(2, max_scans=6)
    scores = {"dice": 0.5, "jaccard": 0.25, "hd95": 1.5, "asd": 0.5}
    units = {"dice": "fraction", "jaccard": "fraction", "hd95": "voxel", "asd": "voxel"}
    cases = [{"id": case.case_id, "class": 1, **scores} for case in cohort.test]
    row = {**scores, "units": units, "empty_predictions": 0, "per_case": cases}
    return build_result(
        notebook="00_good",
        dataset="phantom",
        cohort=cohort,
        n_labelled=4,
        seed=0,
        profile="quick",
        parameters={},
        rows={"supervised_few": row},
        seconds=0.0,
        device="cpu",
    )


def test_a_kill_leaves_every_result_as_it_was_or_as_it_is_to_be(
    shop: Workshop, tmp_path: Path, result: dict
) -> None:
    given = {"given": {"result": result}}
    events = shop("write", tmp_path / "whole", **given).events
    moments = [*some(events, 16), *({"after": 0.002 * n} for n in range(1, 5))]
    for number, moment in enumerate(moments):
        folder = tmp_path / str(number)
        ended = shop("write", folder, **moment, **given)
        assert killed(ended) or "after" in moment
        files = sorted(folder.glob("*/*.json"))
        written = sum(event.startswith("os.rename") for event in ended.events)
        assert len(files) >= min(3, written) or killed(ended)
        numbers = [read_result(path)["seconds"] for path in files]
        assert numbers == sorted(numbers, reverse=True) and set(numbers) <= {0.0, 1.0, 2.0}
        assert shop("write", folder, **given).code == 0
        assert [read_result(path)["seconds"] for path in folder.glob("*/*.json")] == [2.0] * 3


# --- a download


def test_a_killed_download_goes_on_and_shows_only_what_is_verified(
    shop: Workshop, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = Server()
    request.addfinalizer(server.close)
    given = {"given": {"url": server.url}}
    events = shop("fetch", tmp_path / "whole", **given).events
    begun = {"moment": 0, "limit_bytes": 1500}
    count = 20 if request.config.getoption("--long") else 6
    for number, moment in enumerate([begun, *some(events, count)]):
        folder = tmp_path / str(number)
        assert killed(shop("fetch", folder, **moment, **given))
        assert_whole(folder)
        parts = {path: path.stat().st_size for path in folder.rglob("*.part")}
        there = [path for path in CONTENT if (folder / "hippocampus" / path).exists()]
        server.requests.clear()
        assert shop("fetch", folder, **given).code == 0
        asked = {path.removeprefix("/owner/repository/commit/"): r for path, r in server.requests}
        assert not set(there) & set(asked), "what was there is not fetched again"
        for part, size in parts.items():
            name = str(part.relative_to(folder / "hippocampus")).removesuffix(".part")
            assert name not in CONTENT or asked[name] == (f"bytes={size}-" if size else None)
        found = {path: (folder / "hippocampus" / path).read_bytes() for path in CONTENT}
        assert found == CONTENT
        assert moment != begun or 1500 in parts.values()


# --- a report

NOTEBOOK = """\
# %% [markdown]
# # The good notebook

# %% tags=["parameters"]
DATASET = "phantom"  # data
PROFILE = "quick"  # budget
N_LABELLED = 4  # scans with a label
SEED = 0  # random numbers
RESULTS_DIR = "reports/results"  # where results go

# %%
import json
import os
import time
from pathlib import Path

from ssl_lib.utils.atomic import write_atomically

print("begun", "." * 5000)
if Path("kill").exists():
    Path("kill").unlink()
    os.kill(os.getppid(), 9)
    time.sleep(0.3)

# %%
result = json.loads(Path("template.json").read_text()) | {"seed": SEED}
name = f"{DATASET}-{PROFILE}-n{N_LABELLED}-seed{SEED}.json"
write_atomically(Path(RESULTS_DIR) / "00_good" / name, json.dumps(result).encode())
print("seed", SEED)
"""


def make_project(root: Path, result: dict) -> Path:
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "00_good.py").write_text(NOTEBOOK)
    (root / "template.json").write_text(json.dumps(result))
    return root


def shown(root: Path) -> dict[str, str]:
    """Pages and results of a project, without times."""
    found = {}
    for path in sorted((root / "reports").rglob("[!.]*.*")):
        text = path.read_text()
        text = re.sub(r'"(seconds|when)": [^,}]*|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?', "", text)
        found[path.name] = re.sub(r"\d+ s\b", "", text)
    return found


REPORT_MOMENTS = {
    "in the middle of the page": (r"open reports/00_good/\.phantom\S*html", 0, 3000),
    "in the middle of the executed notebook": ("open build/executed", 0, 900),
    "before the executed notebook has its name": ("os.rename build/executed", 0, None),
    "before the stamp has its name": ("os.rename build/stamps", 0, None),
    "in the middle of the index": (r"open reports/\.index", 0, 900),
    "before anything": ("", 0, None),
}


@pytest.fixture(scope="module")
def undisturbed_report(shop: Workshop, result: dict, tmp_path_factory) -> tuple[Ended, dict]:
    root = make_project(tmp_path_factory.mktemp("undisturbed") / "project", result)
    ended = shop("report", root)
    assert ended.answer == 0
    return ended, shown(root)


@pytest.mark.parametrize(
    ("pattern", "which", "limit"),
    [
        pytest.param(*moment, id=name, marks=[pytest.mark.long] if number else [])
        for number, (name, moment) in enumerate(REPORT_MOMENTS.items())
    ],
)
def test_a_killed_report_is_made_by_the_next_start(
    shop: Workshop, undisturbed_report, result, tmp_path: Path, pattern, which, limit
) -> None:
    root = make_project(tmp_path / "project", result)
    moment = number_of(undisturbed_report[0].events, pattern, which)
    assert killed(shop("report", root, moment=moment, limit_bytes=limit))
    assert_whole(root / "build")
    assert_whole(root / "reports")
    ended = shop("report", root)
    assert ended.answer == 0
    assert shown(root) == undisturbed_report[1]
    repeated = any("build/executed" in event for event in ended.events)
    assert repeated == (moment <= number_of(undisturbed_report[0].events, "os.rename build/stamps"))


def test_a_report_killed_in_the_middle_of_a_cell_is_made_by_the_next_start(
    shop: Workshop, undisturbed_report, result, tmp_path: Path
) -> None:
    """The kernel goes on for a moment, and writes its result beside the next start's."""
    root = make_project(tmp_path / "project", result)
    (root / "kill").touch()
    assert killed(shop("report", root))
    assert_whole(root / "build")
    assert shop("report", root).answer == 0
    assert shown(root) == undisturbed_report[1]


@pytest.mark.long
def test_a_report_on_a_full_disk_says_so_and_goes_on_when_there_is_space(
    shop: Workshop, undisturbed_report, result, tmp_path: Path
) -> None:
    root = make_project(tmp_path / "project", result)
    moment = number_of(undisturbed_report[0].events, "open build/executed")
    assert shop("report", root, moment=moment, limit_bytes=900, full=True).answer == 2
    assert_whole(root / "build")
    assert shop("report", root).answer == 0
    assert shown(root) == undisturbed_report[1]


@pytest.mark.long
@pytest.mark.parametrize("number", range(20))
def test_a_report_killed_at_a_random_moment_is_made_by_the_next_start(
    shop: Workshop, undisturbed_report, result, tmp_path: Path, number: int
) -> None:
    root = make_project(tmp_path / "project", result)
    assert killed(shop("report", root, **some(undisturbed_report[0].events, 20)[number]))
    assert_whole(root / "build")
    assert_whole(root / "reports")
    assert shop("report", root).answer == 0
    assert shown(root) == undisturbed_report[1]
