"""The public address: one command writes it everywhere, and writing it twice changes nothing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ssl_lib.notebook.files import cell_tags, paired, read_cells
from ssl_lib.notebook.source import NOTEBOOKS_DIR
from ssl_lib.reports.badges import main, write_badges
from ssl_lib.utils.errors import InputError

SCRIPTS = sorted(NOTEBOOKS_DIR.glob("*.py"))


@pytest.fixture
def copies(tmp_path: Path) -> list[Path]:
    return [Path(shutil.copy(script, tmp_path)) for script in SCRIPTS]


def test_every_notebook_gets_its_own_links_and_the_source(copies: list[Path]) -> None:
    before = [copy.read_text() for copy in copies]
    assert write_badges("https://github.com/Some-One/scans", copies) == copies
    for copy, old in zip(copies, before, strict=True):
        new = copy.read_text()
        assert f"/github/Some-One/scans/blob/main/notebooks/{copy.stem}.ipynb" in new
        assert f"/gh/Some-One/scans/main?urlpath=lab/tree/notebooks/{copy.stem}.ipynb" in new
        assert "https://some-one.github.io/scans/" in new
        assert '"SSL_SOURCE", "https://github.com/Some-One/scans"' in new
        assert len(new.splitlines()) in (len(old.splitlines()), len(old.splitlines()) + 2)
        assert paired(copy, copy.with_suffix(".ipynb")) == []


def test_a_second_time_changes_nothing_and_another_address_replaces(copies: list[Path]) -> None:
    write_badges("https://github.com/a/one", copies)
    once = [copy.read_text() for copy in copies]
    assert write_badges("https://github.com/a/one.git", copies) == []
    write_badges("https://github.com/b/two", copies)
    assert not any("a/one" in copy.read_text() for copy in copies)
    write_badges("https://github.com/a/one", copies)
    assert [copy.read_text() for copy in copies] == once


@pytest.mark.parametrize("address", ["", "github.com/a/b", "https://github.com/a", "javascript:x"])
def test_another_kind_of_address_is_refused(address: str, copies: list[Path]) -> None:
    before = [copy.read_text() for copy in copies]
    with pytest.raises(InputError, match="OWNER/NAME"):
        write_badges(address, copies)
    assert [copy.read_text() for copy in copies] == before


def test_the_command_says_what_it_needs(capsys) -> None:
    assert main([]) == 2
    assert "one address is needed" in capsys.readouterr().err


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_colab_cell_comes_before_anything_that_colab_lacks(script: Path) -> None:
    code = [cell for cell in read_cells(script) if cell.cell_type == "code"]
    place = next(i for i, cell in enumerate(code) if "colab" in cell_tags(cell))
    earlier = [re.findall(r"^\s*(?:import|from) ", c.source, re.MULTILINE) for c in code[:place]]
    assert not any(earlier)
