"""Install on Colab what the project needs and Colab lacks; run in the project's folder.

What is installed already keeps its version, torch and numpy above all: changing them would force a
restart of the notebook. Nothing of the project itself is installed; it is imported from its folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distributions
from pathlib import Path


def plain(name: str) -> str:
    """The name of a requirement as package indexes compare it, without its version."""
    return re.split(r"[<>=!~\[; ]", name)[0].lower().replace("_", "-")


def install(names: list[str], constraints: list[str]) -> int:
    """Install packages within constraints (`name==version`); returns pip's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "constraints.txt")
        file.write_text("\n".join(constraints) + "\n")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(file)]
        return subprocess.run([*pip, *names], check=False).returncode


def main() -> int:
    """Install every dependency that is missing; returns pip's exit code."""
    there = {plain(one.name): one.version for one in distributions() if one.name}
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = [name for name in project["dependencies"] if plain(name) not in there]
    if not missing:
        print("nothing to install")
        return 0
    pins = Path("requirements.lock").read_text(encoding="utf-8").splitlines()
    ours = [line for line in pins if "==" in line and plain(line) not in there]
    theirs = [f"{name}=={version}" for name, version in sorted(there.items())]
    code = install(missing, theirs + ours)
    if code != 0:  # our versions of the rest do not go with theirs: let pip find some that do
        code = install(missing, theirs)
    print(f"installed {', '.join(missing)}" if code == 0 else "pip could not install everything")
    return code


if __name__ == "__main__":
    sys.exit(main())
