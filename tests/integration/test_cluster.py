"""Several runs at a time: the same pages as one at a time, and nothing lost when a worker dies.

The notebooks are thrown away and take a second; the clusters and their workers are real.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster
from distributed.scheduler import KilledWorker

from ssl_lib.reports import __main__ as command
from ssl_lib.reports import cluster, plan
from ssl_lib.reports.plan import Folders, Request
from ssl_lib.reports.render import read_page_data
from ssl_lib.utils.errors import InputError

PARAMETERS = """\
# %% [markdown]
# # The {name} notebook

# %% tags=["parameters"]
DATASET = "phantom"  # data
PROFILE = "quick"  # budget
N_LABELLED = 4  # scans with a label
SEED = 0  # random numbers
DATA_DIR = "data"  # where the tests look for marks
RESULTS_DIR = "reports/results"  # where results are read and written

"""
WRITES = """\
# %%
import json
from pathlib import Path

folder = Path(RESULTS_DIR) / "{name}"
seen = sorted(path.name for path in folder.glob("*.json"))
print(f"seed {{SEED}} writes to {{RESULTS_DIR}} and has seen {{seen}}")

# %%
scores = dict(dice=0.5, jaccard=0.4, hd95=1.0, asd=1.0)
per_case = [dict(scores, id=name, empty_prediction=False) | {{"class": 1}} for name in "ab"]
row = dict(scores, units=dict(), empty_predictions=0, per_case=per_case)
result = dict(
    notebook="{name}", dataset=DATASET, cohort_hash="h", n_labelled=N_LABELLED, labelled_ids=[],
    seed=SEED, profile=PROFILE, parameters=dict(), rows=dict(supervised_few=row),
    seconds=1, peak_memory_bytes=1,
    device="cpu", versions=dict(), commit="c",
)
folder.mkdir(parents=True, exist_ok=True)
name = f"{{DATASET}}-{{PROFILE}}-n{{N_LABELLED}}-seed{{SEED}}.json"
(folder / name).write_text(json.dumps(result))
"""
THREADS = """
# %%
import os

print("threads", *(os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "OPENBLAS")))
"""
FAILS_AT_THE_END = "\n# %%\nif SEED == 1:\n    raise KeyError(SEED)\n"
HANGS_ONCE = """\
# %%
import os
import time
import uuid
from pathlib import Path

marks = Path(DATA_DIR)
first = not list(marks.glob(f"{SEED}-*"))
mark = f"{SEED}-{os.getpid()}-{os.getppid()}"
(marks / mark).touch()
if SEED == 0 and first:
    time.sleep(300)
"""
READS = """\
# %% [markdown]
# # The reader

# %% tags=["parameters"]
DATASET = "phantom"  # data
PROFILE = "quick"  # budget
N_LABELLED = 4  # scans with a label
RESULTS_DIR = "reports/results"  # where results are read

# %%
from pathlib import Path

print("read", sorted(f"{p.parent.name}/{p.stem}" for p in Path(RESULTS_DIR).glob("*/*.json")))
"""


def make_project(root: Path, **bodies: str) -> Path:
    """A project with a notebook for each keyword; `00_` and so on are put before the names."""
    (root / "notebooks").mkdir(parents=True)
    for number, (name, body) in enumerate(bodies.items()):
        full = f"{number:02d}_{name}"
        text = body if 'tags=["parameters"]' in body else PARAMETERS.format(name=name) + body
        (root / "notebooks" / f"{full}.py").write_text(text)
    return root


def writes(name: str) -> str:
    return WRITES.format(name=name)


def report(root: Path, *arguments: str) -> int:
    return command.main(["--root", str(root), *arguments])


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a cluster with two workers, which know nothing of any test's folder."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as started:
        yield started.scheduler_address


def texts(root: Path) -> dict[str, str]:
    """The executed notebooks' printed texts, and the result files, by their path."""
    found = {}
    for path in sorted((root / "build" / "executed").glob("*/*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        found[f"{path.parent.name}/{path.stem}"] = "".join(
            "".join(o.get("text", "")) for o in outputs
        )
    for path in sorted((root / "reports" / "results").glob("*/*.json")):
        found[f"{path.parent.name}/{path.name}"] = path.read_text()
    return found


def page_without_times(root: Path, name: str) -> str:
    page = (root / "reports" / name / "phantom-quick-n4.html").read_text()
    page = re.sub(r'"(seconds|when)": [^,]*|threads [^\n<]*', "", page)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d|<dd>\d+ s</dd>", "", page)


@pytest.fixture
def known_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the tests that run nothing the seconds in which the phantom is made."""
    monkeypatch.setattr(plan, "usable_data", lambda job, _: "" if job.only_reads else "hash")


# --- what is refused before anything runs


@pytest.mark.parametrize("jobs", ["0", "-1", "abc", "1.5"])
def test_a_wrong_number_of_runs_is_one_message(tmp_path, capsys, jobs) -> None:
    root = make_project(tmp_path, good=writes("00_good"))
    assert report(root, "--jobs", jobs) == 2
    printed = capsys.readouterr()
    assert f"--jobs is '{jobs}'" in printed.err and "a whole number from 1" in printed.err
    assert "Traceback" not in printed.err and printed.out == ""
    assert not (root / "reports").exists()


def test_one_of_the_two_ways_has_to_be_chosen(tmp_path, capsys) -> None:
    root = make_project(tmp_path, good=writes("00_good"))
    assert report(root, "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1") == 2
    assert "both --jobs and --scheduler" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "nonsense", "tcp://host-that-is-not:8786"]
)
def test_a_scheduler_that_does_not_answer_is_one_message(
    tmp_path, capsys, monkeypatch, known_data, address
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    root = make_project(tmp_path, good=writes("00_good"))
    assert report(root, "--scheduler", address) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {address}: no Dask scheduler answers")
    assert "tcp://host:8786" in printed.err and "Traceback" not in printed.err
    assert not (root / "reports").exists()


def test_workers_that_would_crowd_a_machine_are_refused(tmp_path, capsys, known_data) -> None:
    root = make_project(tmp_path, good=writes("00_good"))
    with LocalCluster(
        n_workers=1,
        threads_per_worker=3,
        processes=False,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
    ) as crowded:
        assert report(root, "--scheduler", crowded.scheduler_address) == 2
    printed = capsys.readouterr().err
    assert "would run 3 notebooks at a time" in printed and "--nthreads 1" in printed


def test_workers_with_other_code_are_refused(
    tmp_path, capsys, monkeypatch, known_data, scheduler
) -> None:
    monkeypatch.setattr(plan, "_library_files", list)  # here, not in the workers' processes
    root = make_project(tmp_path, good=writes("00_good"))
    assert report(root, "--scheduler", scheduler) == 2
    assert "has other code" in capsys.readouterr().err
    assert not (root / "reports").exists()


# --- which run may start when


def where(job: plan.Job) -> tuple[str, int, int]:
    return job.notebook, job.n_labelled, job.seed


def test_studies_begin_with_their_first_notebook_and_pages_end_with_their_last_seed(
    tmp_path, known_data
) -> None:
    root = make_project(tmp_path, a=writes("00_a"), b=writes("01_b"))
    jobs = plan.plan(Request(seeds=(0, 1, 2, 1), n_labelled=(2, 4)), Folders(root))
    needs = {
        (job.notebook, job.n_labelled, job.seed): {
            (o.notebook, o.n_labelled, o.seed) for o in found
        }
        for job, found in cluster.prerequisites(jobs).items()
    }
    assert len(needs) == 12, "every run once, though a seed was given twice"
    for n in (2, 4):
        assert needs["00_a", n, 0] == needs["00_a", n, 1] == set()
        assert needs["00_a", n, 2] == {("00_a", n, 0), ("00_a", n, 1)}
        assert needs["01_b", n, 1] == {("00_a", n, 1)}
        assert needs["01_b", n, 2] == {("00_a", n, 2), ("01_b", n, 0), ("01_b", n, 1)}


def test_a_notebook_that_only_reads_follows_the_results_beside_one_that_trains(
    tmp_path, known_data
) -> None:
    root = make_project(tmp_path, trains=writes("00_trains"), reads=READS)
    trains, reads = plan.plan(Request(), Folders(root))
    assert trains.data_hash and not trains.only_reads
    assert not reads.data_hash and reads.only_reads
    before = plan.digest(reads, Folders(root))
    result = Folders(root).results / "00_trains" / "run.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    assert plan.digest(reads, Folders(root)) != before


# --- runs


@pytest.mark.slow
def test_two_at_a_time_give_the_pages_and_results_of_one_at_a_time(
    tmp_path, capsys, known_data
) -> None:
    trains = writes("00_trains") + THREADS + FAILS_AT_THE_END
    one, two = (
        make_project(tmp_path / name / "project", trains=trains, reads=READS)
        for name in ("one", "two")
    )
    assert report(one, "--seeds", "0 1") == 1
    capsys.readouterr()
    assert report(two, "--seeds", "0 1", "--jobs", "2") == 1
    *lines, summary = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"3 runs in .*: 2 ok, 0 unchanged, 1 failed; "
        r"2 pages, 1 with a failure: reports/index.html",
        summary,
    )
    assert re.match(r"00_trains  phantom-quick-n4-seed0  ok  \d+ s", lines[0])
    assert re.match(r"00_trains  phantom-quick-n4-seed1  FAILED  \d+ s", lines[1])

    found = texts(two)
    assert without_threads(found) == without_threads(texts(one))
    seed_1 = found["00_trains/phantom-quick-n4-seed1"]
    reader = found["01_reads/phantom-quick-n4-seed0"]
    share = str(max(1, cluster.CPU_COUNT // 2))
    assert f"threads {share} {share} {share}\n" in seed_1, "no two runs fight over a core"
    assert "has seen ['phantom-quick-n4-seed0.json']" in seed_1, "it waited for the other seed"
    assert "read ['00_trains/phantom-quick-n4-seed0', '00_trains/phantom-quick-n4-seed1']" in reader
    for name in ("00_trains", "01_reads"):
        assert page_without_times(two, name) == page_without_times(one, name)
    (failure,) = read_page_data(two / "reports/00_trains/phantom-quick-n4.html").failures
    assert failure == "Seed 1, cell 7: KeyError: 1"


def without_threads(found: dict[str, str]) -> dict[str, str]:
    return {name: re.sub(r"threads .*", "", text) for name, text in found.items()}


def test_a_worker_is_up_without_pytorch() -> None:
    program = "import ssl_lib.reports.worker, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.slow
def test_no_disk_is_shared_and_a_worker_that_dies_loses_nothing(
    tmp_path, capsys, scheduler
) -> None:
    marks = tmp_path / "marks"  # the one folder that both sides know, for the test alone
    marks.mkdir()
    root = make_project(tmp_path / "project", writes=HANGS_ONCE + writes("00_writes"))
    victim: list[int] = []

    def kill_the_worker_of_seed_0() -> None:
        while not (begun := list(marks.glob("0-*"))):
            time.sleep(0.05)
        _, kernel, worker = begun[0].name.split("-")
        victim.append(int(kernel))
        os.kill(int(worker), signal.SIGKILL)

    killer = threading.Thread(target=kill_the_worker_of_seed_0, daemon=True)
    killer.start()
    asked = ("--seeds", "0 1 2", "--scheduler", scheduler, "--data-dir", str(marks))
    asked += ("--profile", "smoke")  # whose data are made faster, here and on the worker
    assert report(root, *asked) == 0
    assert "3 ok, 0 unchanged, 0 failed" in capsys.readouterr().out
    assert len(list(marks.glob("0-*"))) == 2, "the run was tried again"
    assert len(list(marks.glob("1-*"))) == len(list(marks.glob("2-*"))) == 1
    names = [f"phantom-smoke-n4-seed{seed}.json" for seed in range(3)]
    assert sorted(p.name for p in (root / "reports/results/00_writes").iterdir()) == names
    told = texts(root)["00_writes/phantom-smoke-n4-seed2"]
    assert "writes to reports/results and has seen" in told and str(names[:2]) in told
    assert gone(victim[0]), "the kernel of the killed worker ended by itself"
    assert report(root, *asked) == 0
    assert "0 ok, 3 unchanged" in capsys.readouterr().out


def gone(process: int, seconds: float = 60) -> bool:
    """True as soon as a process has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_worker_with_other_data_says_so_on_the_page(tmp_path, monkeypatch, scheduler) -> None:
    monkeypatch.setattr(plan, "usable_data", lambda *_: "the caller's")
    root = make_project(tmp_path / "project", writes=writes("00_writes"))
    assert report(root, "--scheduler", scheduler) == 1
    (failure,) = read_page_data(root / "reports/00_writes/phantom-quick-n4.html").failures
    assert "is not the caller's" in failure and "copy the caller's data" in failure
    assert not list((root / "build").glob("stamps/*/*"))


class Ended:
    """A future that ended with an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error


@pytest.fixture
def sweep(tmp_path: Path, known_data: None) -> tuple[cluster._Sweep, plan.Job]:
    folders = Folders(make_project(tmp_path, writes=writes("00_writes")))
    (job,) = plan.plan(Request(), folders)
    return cluster._Sweep(None, folders, {}, {}, stay=False), job


def test_a_run_that_kills_every_worker_is_given_up(sweep) -> None:
    collector, job = sweep
    ran = collector._collect(job, Ended(KilledWorker("key", None, 3)))
    assert ran.failure.message.startswith("given up: 4 workers died")
    assert json.loads(ran.executed.read_text())["metadata"]["ssl_lib"]["failure"]["cell"] is None


def test_a_lost_scheduler_is_one_message(sweep) -> None:
    collector, job = sweep
    with pytest.raises(InputError, match="connection to the Dask scheduler was lost"):
        collector._collect(job, Ended(CancelledError()))


@pytest.fixture
def minds_interrupts() -> Iterator[None]:
    """Ctrl-C is a `KeyboardInterrupt` again: a shell's background job starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_an_interrupt_keeps_what_is_finished_and_stops_the_rest(
    tmp_path, capsys, known_data, minds_interrupts
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    root = make_project(tmp_path / "project", hangs=HANGS_ONCE + writes("00_hangs"))

    def interrupt() -> None:
        stamps = root / "build" / "stamps" / "00_hangs"
        finished = stamps / "phantom-quick-n4-seed1.json"
        while not (finished.exists() and any(marks.glob("0-*"))):  # the other one has begun, too
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    asked = ("--seeds", "0 1 2", "--jobs", "2", "--data-dir", str(marks))
    assert report(root, *asked) == 130
    printed = capsys.readouterr()
    assert "stopped; finished runs are kept" in printed.err and "Traceback" not in printed.err
    (hung,) = marks.glob("0-*")
    assert gone(int(hung.name.split("-")[1])) and gone(int(hung.name.split("-")[2]))
    assert (root / "reports/00_hangs/phantom-quick-n4.html").exists()
    assert [p.name for p in (root / "build/stamps/00_hangs").iterdir()] == [
        "phantom-quick-n4-seed1.json"
    ]
