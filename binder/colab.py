"""Install on Colab what the project needs and Colab lacks; run in the project's folder.

What is installed already is never touched, torch and numpy above all: changing them would force a
restart of the notebook. What is missing comes in the versions of requirements.lock, without pip's
search for versions that please everybody: on a machine with hundreds of packages there are none.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def installed(name: str) -> bool:
    """True if a package of this name is there, in whatever version."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def needed(requirements: Iterable[str]) -> set[str]:
    """Names of the requirements that apply to this machine and are not installed."""
    parsed = map(Requirement, requirements)
    here = [one.name for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return {canonicalize_name(name) for name in here if not installed(name)}


def main() -> int:
    """Install what is missing, then what that requires, and so on; returns pip's exit code."""
    lines = Path("requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(line.split("==")[0]): line for line in lines if "==" in line}
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = needed(project["dependencies"])
    while missing:
        print(f"installing {', '.join(sorted(missing))}")
        wanted = [pins.get(name, name) for name in sorted(missing)]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run([*pip, *wanted], check=False)
        if done.returncode:
            return done.returncode
        missing = needed(one for name in missing for one in requires(name) or ())
    return 0


if __name__ == "__main__":
    sys.exit(main())
