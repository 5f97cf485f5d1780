"""Where a number came from: code, packages, machine and memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import psutil
import torch

PACKAGES: tuple[str, ...] = ("torch", "numpy", "scipy", "monai", "nibabel", "matplotlib")


def package_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The version of Python and of each package, "missing" where it is not installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "missing"
    return versions


def device_name(device: torch.device | str) -> str:
    """What computed: the GPU's name, or the kind of processor and the threads used."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    kind = platform.machine() or "unknown"
    return f"{kind} CPU, {torch.get_num_threads()} of {psutil.cpu_count()} threads"


def peak_memory_bytes(device: torch.device | str) -> int:
    """Most memory held so far: by PyTorch on a GPU, by this whole process on a CPU, in bytes."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)  # Linux counts in KiB


def git_commit(folder: Path | None = None) -> str:
    """The commit of the code, with "+changes" if tracked files differ; "unknown" without git.

    What runs themselves write (reports, stored outputs) does not count.
    """
    folder = folder or Path(__file__).parent
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    written_by_runs = (":(top,exclude)reports", ":(top,exclude)*.ipynb")
    changed = _git(folder, "status", "--porcelain", "-uno", "--", ":/", *written_by_runs)
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
