"""All tests by two processes side by side: half the waiting on two cores.

python tests/run.py [--long]    what `make test` runs; writes build/tests.json and says the coverage
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
PARTS = {
    "first": ("tests/browser", "tests/unit", "tests/methods"),
    "second": ("tests/integration",),
}
LEAST_COVERED = 90


def start(name: str, folders: tuple[str, ...], more: list[str]) -> subprocess.Popen:
    """One part of the tests, its output in a file of its own."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "COVERAGE_FILE": str(BUILD / f".coverage.{name}"),
    }
    options = ["-rs", "--durations=25", f"--record={BUILD / f'tests-{name}.json'}"]
    options += ["--cov=ssl_lib", "--cov-report="]
    command = [sys.executable, "-m", "pytest", *folders, *options, *more]
    with (BUILD / f"tests-{name}.log").open("w") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def main() -> int:
    BUILD.mkdir(exist_ok=True)
    running = {name: start(name, folders, sys.argv[1:]) for name, folders in PARTS.items()}
    failed = False
    for name, process in running.items():
        failed |= process.wait() != 0
        print(f"== {' and '.join(PARTS[name])}")
        print((BUILD / f"tests-{name}.log").read_text(encoding="utf-8"), flush=True)
    if failed:
        return 1
    records = [json.loads((BUILD / f"tests-{name}.json").read_text()) for name in PARTS]
    passed = {file: count for record in records for file, count in record["passed"].items()}
    record = {"long": records[0]["long"], "passed": dict(sorted(passed.items()))}
    (BUILD / "tests.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    coverage = [sys.executable, "-m", "coverage"]
    files = [str(BUILD / f".coverage.{name}") for name in PARTS]
    subprocess.run([*coverage, "combine", "-q", *files], cwd=ROOT, check=True)
    least = f"--fail-under={LEAST_COVERED}"
    return subprocess.run([*coverage, "report", "--skip-covered", least], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
