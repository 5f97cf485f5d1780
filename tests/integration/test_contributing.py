"""The method in CONTRIBUTING.md trains, and what that page points at is there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_method_of_the_guide_trains_and_is_scored(tmp_path, capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    script = tmp_path / "method.py"
    script.write_text(code, encoding="utf-8")
    names: dict[str, object] = {}
    exec(compile(code, str(script), "exec"), names)
    assert re.search(r"Dice 0\.\d{3}", capsys.readouterr().out)
    assert {"supervised", "pseudo"} <= names["row"].history[-1].keys()


def test_every_file_that_the_guide_names_is_there() -> None:
    named = set(re.findall(r"`((?:tests|trials|notebooks|ssl_lib)/[\w./]*)`", GUIDE))
    assert named - {"notebooks/09_your_method.py"}
    assert all((ROOT / name).exists() for name in named - {"notebooks/09_your_method.py"})


def test_the_citation_has_what_is_asked_of_it() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
