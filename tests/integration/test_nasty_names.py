"""Names that others chose are text: on pages, in tables, figures, lists, cards and messages."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from broken_models import DESCRIPTION
from broken_runs import RESULT, ROW
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from organ_scans import write_organs

from ssl_lib.data.fingerprint import Finding, take_fingerprint
from ssl_lib.evaluation.results import read_result
from ssl_lib.export.card import model_card
from ssl_lib.export.model import Predicted
from ssl_lib.export.predictions import write_list
from ssl_lib.figures import new_figure, to_png
from ssl_lib.figures.fingerprint import folder_overview
from ssl_lib.notebook.explore import Slider, static_html
from ssl_lib.notebook.fingerprint_tables import description_table, findings_table
from ssl_lib.notebook.tables import row_table
from ssl_lib.reports import index, outcome
from ssl_lib.reports.render import write_page
from ssl_lib.utils.errors import InputError

MARKUP = "<img src=x onerror=alert(1)>"
NASTY = [
    "<script>alert(1)</script>",
    MARKUP,
    '"><svg onload="alert(1)">',
    "' onmouseover='alert(1)",
    "</td></tr></table><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "{{ 7 * 7 }}{% raw %}",
    "</script><script>alert(1)//",
    "<style>body{display:none}</style>",
]


class Elements(HTMLParser):
    """The elements of a page, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.shown = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.shown += data


def same_elements(build, nasty: str) -> Elements:
    """The elements of what `build` makes with a nasty name: those that a harmless one gives."""
    harmful, harmless = Elements(build(nasty)), Elements(build("harmless"))
    assert harmful.tags == harmless.tags
    names = [name for name, _ in harmful.attributes]
    assert names == [name for name, _ in harmless.attributes]
    assert not any(name.startswith("on") for name in names)
    return harmful


def table_of_findings(name: str) -> str:
    return findings_table([Finding("excluded", name, name, name, name)]).data


def table_of_rows(name: str) -> str:
    row = {**ROW, "units": dict.fromkeys(ROW["units"], name)}
    return row_table([{**RESULT, "rows": {name: row}}], reference=name).data


def slider(name: str) -> str:
    html = static_html(
        lambda name: new_figure(0.3),
        alt=lambda name: f"Scan {name}.",
        name=Slider(name, (name, "b")),
    )
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)  # our own, without a name


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("build", [table_of_findings, table_of_rows, slider])
def test_names_of_others_are_text_in_every_piece_of_html(build, nasty: str) -> None:
    assert "alert" not in nasty or "alert(1)" in same_elements(build, nasty).shown


@pytest.mark.parametrize("nasty", NASTY)
def test_names_of_others_are_text_on_pages_and_on_the_index(nasty: str, tmp_path: Path) -> None:
    def page(name: str) -> str:
        write_pages(tmp_path, name)
        return (tmp_path / "00_x" / "page.html").read_text()

    def start(name: str) -> str:
        write_pages(tmp_path, name)
        return index.write_index(tmp_path, tmp_path / "results").read_text()

    for build in (page, start):
        assert nasty in same_elements(build, nasty).shown


def write_pages(folder: Path, name: str) -> None:
    """A page with that name wherever a name comes from a file, and a result with it, too."""
    cells = [
        new_markdown_cell("# A title"),
        new_code_cell("x", execution_count=1, outputs=[
            new_output("stream", name="stdout", text=name),
            new_output("stream", name="stderr", text=name),
            new_output("error", ename=name, evalue=name, traceback=[name]),
            new_output("display_data", {"image/png": "AAAA", "text/plain": name},
                       metadata={"image/png": {"alt": name}}),
            new_output("display_data", {"text/plain": name}),
        ]),
    ]  # fmt: skip
    notebook = new_notebook(cells=cells)
    known = {"notebook": "00_x", "profile": "quick", "n_labelled": 2, "seed": 0, "seconds": 1.0}
    notes = {**known, "dataset": name, "parameters": {"DATASET": name}, "when": "2020-01-01"}
    outcome.note(notebook, **notes, failure=outcome.Failure(2, name))
    (folder / "00_x").mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "run.ipynb")
    more = {"labelled_ids": [name], "versions": {name: name}, "device": name, "commit": name}
    result = {**RESULT, **more, "dataset": name, "profile": "quick", "rows": {name: ROW}}
    write_page([folder / "run.ipynb"], folder / "00_x" / "page.html", [result], folder)
    (folder / "results" / "00_x").mkdir(parents=True, exist_ok=True)
    (folder / "results" / "00_x" / "run.json").write_text(json.dumps(result))
    (folder / "results" / "00_x" / "broken.json").write_text(json.dumps([name]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans whose file names are markup, a formula, and what a figure would typeset."""
    folder = write_organs(tmp_path_factory.mktemp("nasty"), labelled=3, unlabelled=3, mixed=False)
    for number, name in enumerate((MARKUP, "a$_b^_c$d", "=1+2")):
        old = folder / "imagesTr" / f"u0{number}.nii.gz"
        old.rename(old.with_name(f"{name}.nii.gz"))
    (folder / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, NASTY[0]: 1, "$x^$": 2}})
    )
    (folder / "imagesTr" / "<b>.nii.gz").write_bytes(b"")
    return folder


def test_a_folder_with_nasty_names_is_surveyed_and_drawn(folder: Path) -> None:
    found = take_fingerprint(folder)
    assert MARKUP in found.properties
    html = findings_table(found.findings).data + description_table(found).data
    assert {"script", "img", "b"}.isdisjoint(Elements(html).tags)
    assert "imagesTr/<b>.nii.gz" in Elements(html).shown
    assert NASTY[0] in Elements(html).shown
    assert to_png(folder_overview(found)).startswith(b"\x89PNG")


def test_dollars_in_names_are_no_formula_and_axes_are_typeset() -> None:
    figure = new_figure(1.0)
    axes = figure.add_subplot(title="$x^$ a scan")
    axes.set(xscale="log", xlim=(1, 1e6))
    assert to_png(figure)
    assert "mathdefault" in axes.get_xticklabels()[0].get_text()
    assert axes.get_xticklabels()[0].get_parse_math() and not axes.title.get_parse_math()


def test_the_list_of_predictions_holds_no_formula_and_no_broken_line(tmp_path: Path) -> None:
    one = Predicted(tmp_path, np.zeros(1), {"=class": 1.0}, ("+careful",))
    path = write_list(tmp_path / "list.csv", {"=1+2": one, "a,b\n": one}, {})
    rows = list(csv.reader(path.open(newline="")))
    assert len(rows) == 3 and {len(row) for row in rows} == {4}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


@pytest.mark.parametrize("nasty", [*NASTY, "a | b", "two\nlines"])
def test_names_of_others_are_text_in_a_model_card(nasty: str) -> None:
    known = ("cohort_hash", "licence", "citation", "profile", "commit", "seed", "parameters")
    config = {
        **DESCRIPTION, **dict.fromkeys(known, "x"), "dataset": nasty, "caveat": nasty,
        "class_names": ["background", nasty, "b"], "parameters": {"a": nasty}, "versions": {},
        "scores": {"interval": [0, 1], "dice": 0.5, "n_scans": 1, "by_class": {nasty: 0.5}},
        "training": {**DESCRIPTION["training"], "labelled": 1, "unlabelled": 1, "shape": [1]},
    }  # fmt: skip
    card = model_card(config, "row.safetensors")
    assert not re.search(r"<\w", card)
    table = [line for line in card.splitlines() if line.startswith("| 1 |")]
    assert len(table) == 1 and len(re.findall(r"(?<!\\)\|", table[0])) == 3


@pytest.mark.parametrize("name", ["red\x1b[31m", "two\nlines", "\udcff"])
def test_a_message_has_nothing_that_a_terminal_obeys(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        read_result(tmp_path / name)
    line = str(refusal.value).splitlines()[0]
    assert "cannot be read" in line and "\x1b" not in line
    assert line.encode()
