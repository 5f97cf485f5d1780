"""One environment, described once: the lock pins all that the package asks for, exactly."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from guarantees import GUARANTEES, path_of, table

ROOT = Path(__file__).resolve().parents[2]


def package_name(requirement: str) -> str:
    """The normalised name of a requirement: `numpy>=2` is `numpy`."""
    return re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    """Name and version of every line of the lock."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "every line is name==version"
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_everything_that_is_asked_for_is_pinned(pinned) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(one for extra in extras for one in extra)]
    assert {package_name(one) for one in asked} <= set(pinned)


def test_torch_is_the_exact_release_without_a_build_tag(pinned) -> None:
    assert pinned["torch"] == "2.13.0"
    assert not any("+" in version for version in pinned.values())


def test_conda_users_get_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    through_pip = environment["dependencies"][-1]["pip"]
    assert through_pip[0] == "-r requirements.lock"


def documents() -> str:
    """The README and what it leads to."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def test_the_readme_names_commands_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"^make (\w+)", documents(), re.MULTILINE))
    assert {"reports", "test", "lab"} <= commands
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), f"make {command}"
    variables = set(re.findall(r"\b([A-Z_]{4,})=", documents()))
    for variable in variables - {"SSL_MIRROR", "PIP_EXTRA_INDEX_URL", "CUDA_VISIBLE_DEVICES"}:
        assert f"$({variable})" in makefile or f"$(if $({variable})" in makefile, variable


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        assert not [link for link in links if not (page.parent / link).exists()], page


def test_the_readme_leads_to_every_page_of_the_docs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"](docs/{page.name})" in readme for page in (ROOT / "docs").glob("*.md"))


def test_every_guarantee_is_named_with_the_tests_that_hold_it():
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    for names in GUARANTEES.values():
        assert all((ROOT / path_of(name)).exists() for name in names), names
    for line in table({}).splitlines():
        without_its_count = line.rsplit("|", 2)[0]
        assert without_its_count in page
