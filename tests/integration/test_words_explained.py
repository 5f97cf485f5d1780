"""No notebook uses a word of the glossary before the reader has been told what it means.

The rule: the first cell of text that uses the word explains it, by the sign that the notebooks have
for that (the word alone in *italics* or **bold**, beside its meaning), or links it to the glossary.
A word that notebook 00, or a notebook named under "You need", has explained is known. Headings,
code, formulas and folded answers do not count. Whether what stands beside the italics is a good
explanation, a test cannot tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from ssl_lib.notebook.files import read_cells
from ssl_lib.notebook.source import NOTEBOOKS_DIR
from ssl_lib.reports.terms import glossary_terms, words_in
from ssl_lib.utils.names import notebook_number

SCRIPTS = sorted(NOTEBOOKS_DIR.glob("*.py"))
NO_PROSE = (
    *(r"(?s)<details>.*?</details>", r"(?s)```.*?```", r"(?s)\$\$.*?\$\$", r"\$[^$]*\$"),
    *(r"`[^`]*`", r"(?m)^#+ .*$", r"<[^>]*>"),
)
MARKED = re.compile(r"(?<![\w*])(\*{1,2})(?!\*)([^*]+?)\1(?![\w*])")
LINKED = re.compile(r"\[([^\]]+)\]\(\.\./docs/glossary\.md\)")
NEEDS = re.compile(r"\*\*You need\*\*(.*?)(?=\n- |\n\n|\Z)", re.DOTALL)


def passages(script: Path) -> list[str]:
    """The prose of each cell of text."""
    found = []
    for cell in read_cells(script):
        if cell.cell_type == "markdown":
            text = cell.source
            for pattern in NO_PROSE:
                text = re.sub(pattern, " ", text)
            found.append(" ".join(text.split()))
    return found


def explained_in(passage: str) -> set[str]:
    """The words that stand alone in italics, in bold, or in a link to the glossary."""
    spans = [words for _, words in MARKED.findall(passage)] + LINKED.findall(passage)
    pairs = ((words.strip(" .,:").lower(), list(words_in(words))) for words in spans)
    return {one[0] for words, one in pairs if one and words in (one[0], f"{one[0]}s")}


def needed(script: Path, scripts: Iterable[Path]) -> list[Path]:
    """The earlier notebooks that this one builds on: 00, and those named under "You need"."""
    cells = [cell.source for cell in read_cells(script) if cell.cell_type == "markdown"]
    numbers = {"00", *re.findall(r"\b\d\d[a-z]?\b", " ".join(NEEDS.findall("\n\n".join(cells))))}
    known = [one for one in scripts if one.name < script.name]
    return [one for one in known if notebook_number(one.stem) in numbers]


def known_after(script: Path, scripts: Iterable[Path]) -> set[str]:
    """The words that a reader of the notebook, and of those that it builds on, has met."""
    own = set().union(*map(explained_in, passages(script)))
    return own.union(*(known_after(one, scripts) for one in needed(script, scripts)))


def unexplained(script: Path, scripts: Iterable[Path]) -> list[str]:
    """Words that are used before they are explained, each with the place."""
    known = set().union(*(known_after(one, scripts) for one in needed(script, scripts)))
    missing = []
    for passage in passages(script):
        known |= explained_in(passage)
        for word in dict.fromkeys(words_in(passage)):
            if word not in known:
                known.add(word)
                missing.append(f"{word!r} in: {around(word, passage)}")
    return missing


def around(word: str, passage: str) -> str:
    place = passage.lower().find(word)
    return passage[max(0, place - 40) : place + len(word) + 30]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_word_is_explained_where_it_is_first_used(script: Path) -> None:
    assert unexplained(script, SCRIPTS) == []


# --- the rule itself


def notebooks(folder: Path, **texts: str) -> list[Path]:
    """Small notebooks, `n00="text of a cell"`; an empty line begins another cell."""
    for name, text in texts.items():
        cells = ("# %% [markdown]\n# " + part.replace("\n", "\n# ") for part in text.split("\n\n"))
        (folder / f"{name[1:]}_sample.py").write_text("\n\n".join(cells) + "\n")
    return sorted(folder.glob("*.py"))


def words_missing(folder: Path, **texts: str) -> list[str]:
    scripts = notebooks(folder, **texts)
    return [line.split("'")[1] for line in unexplained(scripts[-1], scripts)]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("A *student* is trained.", []),
        ("The **teacher** averages. Teachers are not trained.", []),
        ("The [seeds](../docs/glossary.md) differ.", []),
        ("The student is trained; a *student* is a network.", []),
        ("The student is trained.", ["student"]),
        ("The student is trained.\n\nA *student* is a network.", ["student"]),
        ("*The student is trained, as every network.*", ["student"]),
        ("**Try it.** Which seeds differ?", ["seed"]),
        ("The [seeds](https://example.org) differ.", ["seed"]),
        ("## The student\nof `seed` and $patch$", []),
        ("It happened to us, and U is large.", ["u"]),
        ("*Hard pseudo-labels* are classes.", []),
        ("*Hard pseudo-labels* are pseudo-labels.", ["pseudo-label"]),
    ],
)
def test_what_counts_as_explained(tmp_path: Path, text: str, missing: list[str]) -> None:
    assert words_missing(tmp_path, n00=text) == missing


def test_what_an_earlier_notebook_explained_is_known_if_it_is_named(tmp_path: Path) -> None:
    earlier = {"n00": "A *student* is trained.", "n01": "A *teacher* averages."}
    text = "- **You need** notebook {}.\n- Student and teacher."
    assert words_missing(tmp_path, **earlier, n02=text.format("00")) == ["teacher"]
    assert words_missing(tmp_path, **earlier, n02=text.format("01")) == []
    assert words_missing(tmp_path, **earlier, n02="Student and teacher.") == ["teacher"]


def test_a_word_of_a_notebook_yet_to_come_is_not_known(tmp_path: Path) -> None:
    scripts = notebooks(tmp_path, n00="A student.", n01="A *student* is trained.")
    assert unexplained(scripts[0], scripts)


def test_every_explained_word_stands_in_the_glossary() -> None:
    words = {word.lower() for word in glossary_terms()}
    assert set().union(*(known_after(script, SCRIPTS) for script in SCRIPTS)) <= words
