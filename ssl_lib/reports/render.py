"""One self-contained HTML page from executed notebooks and their stored results."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ssl_lib.notebook.files import cell_tags, write_text
from ssl_lib.notebook.interactive.page import shared_once
from ssl_lib.reports.card import run_details, run_facts
from ssl_lib.reports.markdown import Heading, Markdown
from ssl_lib.reports.offline import PageError, check_page
from ssl_lib.reports.outcome import Failure, read_executed
from ssl_lib.reports.outputs import QUALITIES, outputs_html
from ssl_lib.reports.terms import TermLinks
from ssl_lib.reports.thumbnail import thumbnail

TEMPLATES = Path(__file__).parent / "templates"
PARAMETERS, UNFINISHED = "Parameters of this run", "Code, not run to its end"

_TAG = re.compile(r"<[^>]*>")
_CLAIM = re.compile(r"<p><strong>((?:(?!</p>).)*)</strong></p>", re.DOTALL)
_TIME = re.compile(r"about (\d+)\s+minutes\s+to\s+read,\s+(\d+)\s+with\s+the\s+tasks")
_TITLE = re.compile(r"<h1\b[^>]*>(.*?)</h1>", re.DOTALL)
_DEFINED = re.compile(r"^(?:async )?(?:def|class) (\w+)", re.MULTILINE)
_PAGE_DATA = re.compile(r'<script type="application/json" id="page-data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Run:
    """One executed notebook: its notes (job, seconds, ...) and how it ended."""

    notebook: NotebookNode
    notes: Mapping[str, Any]
    failure: Failure | None


@dataclass(frozen=True)
class CellView:
    """A cell as the template shows it; `kind` is markdown, code or solution. The code of a method
    and of an exercise is open from the start, all other code is folded; folded cells with nothing
    between them share one fold, and `before` are those above this one."""

    number: int
    kind: str
    source: Markup
    outputs: Markup
    title: str = ""
    names: tuple[str, ...] = ()
    lines: int = 0
    is_open: bool = False
    before: tuple[CellView, ...] = ()

    @property
    def folded(self) -> tuple[CellView, ...]:
        """All cells of this fold, from top to bottom."""
        return (*self.before, self)

    @property
    def summary(self) -> str:
        """What a reader finds the fold by: the functions and classes that its cells define."""
        if self.title:
            return self.title
        names = [name for cell in self.folded for name in cell.names]
        lines = sum(cell.lines for cell in self.folded)
        shown = f"Code: {', '.join(names)}" if names else "Code"
        return f"{shown}, {lines} line{'s' * (lines > 1)}"


@dataclass(frozen=True)
class PageData:
    """What the index needs to know about a page; stands in the page itself as JSON."""

    title: str
    notebook: str
    dataset: str
    profile: str
    n_labelled: int
    status: str
    failures: tuple[str, ...]
    seconds: float
    when: str
    thumbnail: str
    labelled_draw: int = 0
    folds: int = 0
    methods: str = ""


def write_page(
    executed: Sequence[Path],
    page: Path,
    results: Sequence[Mapping[str, Any]],
    folder: Path,
) -> PageData:
    """Write the page of several runs (seeds) of one notebook; returns what the index shows of it.

    The failed or else the latest run is shown. `results` are the stored results of this notebook
    and cohort, `folder` is where the notebook's relative pictures lie. On a page that would be too
    large, pictures of scans have a lower quality. Output that even so must not be published (too
    large, or loaded from a network) is left out and counts as a failure.
    """
    runs = [Run(*read_executed(path)) for path in executed]
    shown = max(runs, key=lambda run: (run.failure is not None, str(run.notes.get("when", ""))))
    problem = ""
    for quality in QUALITIES:
        html, data = _page(shown, runs, results, folder, quality)
        try:
            check_page(html)
        except PageError as error:
            problem = str(error)
        else:
            break
    else:
        html, data = _page(shown, runs, results, folder, quality=None, problem=problem)
    write_text(page, unbroken(html))
    return data


_PERCENT = re.compile(
    r"(?P<kept><(?P<name>script|style|pre)\b.*?</(?P=name)>|<[^>]*>)|(?<=\d) %", re.DOTALL
)


def unbroken(html: str) -> str:
    """The page with every number on one line with its %, in what is read as text."""
    return _PERCENT.sub(lambda found: found["kept"] or "\u00a0%", html)


def read_page_data(page: Path) -> PageData | None:
    """What a page says about itself, None if it is not one of our pages, or a damaged one."""
    try:
        match = _PAGE_DATA.search(page.read_text(encoding="utf-8"))
        data = json.loads(match.group(1)) if match else {}
        return PageData(**{**data, "failures": tuple(data["failures"])})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def read_claim(page: Path) -> str:
    """The claim that a page begins with, its first bold paragraph, as plain text; "" if none."""
    match = _CLAIM.search(page.read_text(encoding="utf-8"))
    return " ".join(unescape(_TAG.sub("", match.group(1))).split()) if match else ""


def read_time(page: Path) -> tuple[int, int] | None:
    """Minutes that a reader needs, without and with the tasks, as the page states them; or None."""
    match = _TIME.search(page.read_text(encoding="utf-8"))
    return (int(match.group(1)), int(match.group(2))) if match else None


@cache
def environment() -> Environment:
    """The templates; every value is escaped unless it is marked as HTML."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template_text(name: str) -> Markup:
    """A style or script file, to be put into a page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8").rstrip())


def page_script() -> Markup:
    """The script of a page."""
    return template_text("page.js") + "\n" + template_text("tables.js").rstrip()


def as_json(value: object) -> Markup:
    """JSON that may stand inside a script element."""
    return Markup(json.dumps(value, ensure_ascii=False).replace("<", "\\u003c"))


def _page(
    shown: Run,
    runs: Sequence[Run],
    results: Sequence[Mapping[str, Any]],
    folder: Path,
    quality: int | None,
    problem: str = "",
) -> tuple[str, PageData]:
    """The page and what the index needs of it; without outputs where `quality` is None."""
    title, cells, headings = _views(shown.notebook, folder, quality)
    failures = _failures(runs, problem)
    data = _page_data(shown, runs, title, [text for text, _ in failures])
    html = (
        environment()
        .get_template("page.html.j2")
        .render(
            data=data,
            data_json=as_json(asdict(data)),
            cells=cells,
            headings=[heading for heading in headings if heading.level in (2, 3)],
            failures=failures,
            facts=run_facts(shown.notes, results),
            details=run_details(shown.notes, results),
            style=template_text("style.css"),
            script=page_script(),
        )
    )
    return shared_once(html), data


def _page_data(shown: Run, runs: Sequence[Run], title: str, failures: Sequence[str]) -> PageData:
    notes = shown.notes
    return PageData(
        title=title or str(notes.get("notebook", "Notebook")),
        notebook=str(notes.get("notebook", "")),
        dataset=str(notes.get("dataset", "")),
        profile=str(notes.get("profile", "")),
        n_labelled=int(notes.get("n_labelled", 0)),
        status="failed" if failures else "ok",
        failures=tuple(failures),
        seconds=sum(float(run.notes.get("seconds", 0)) for run in runs),
        when=str(notes.get("when", "")),
        thumbnail=thumbnail(shown.notebook),
        labelled_draw=int(notes.get("labelled_draw", 0)),
        folds=int(notes.get("folds", 0)),
        methods=str(notes.get("methods", "")),
    )


def _failures(runs: Sequence[Run], problem: str) -> list[tuple[str, int | None]]:
    """Every failure as (text, number of the cell to look at)."""
    failures: list[tuple[str, int | None]] = [(problem, None)] if problem else []
    for run in runs:
        if run.failure:
            seed, cell = run.notes.get("seed", "?"), run.failure.cell
            place = f", cell {cell}" if cell else ""
            failures.append((f"Seed {seed}{place}: {run.failure.message}", cell))
    return failures


def _views(
    notebook: NotebookNode, folder: Path, quality: int | None
) -> tuple[str, list[CellView], list[Heading]]:
    """The title (first heading of level 1, taken out of its cell), the cells and the headings."""
    markdown, links, title, views = Markdown(folder), TermLinks(), "", []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            views.append(_code_view(number, cell, folder, quality))
        elif cell.cell_type == "markdown":
            html = markdown(cell.source)
            if not title and _TITLE.search(html):
                title = next(heading.text for heading in markdown.headings if heading.level == 1)
                html = _TITLE.sub("", html, count=1)
            else:
                html = links(html)
            views.append(_markdown_view(number, cell, html))
    return title, _share_folds(views), markdown.headings


def _share_folds(views: Sequence[CellView]) -> list[CellView]:
    """The cells, with neighbours that are folded and show nothing joined to the next one."""
    shared: list[CellView] = []
    for view in views:
        above = shared[-1] if shared else None
        if above and all(_may_share(one) for one in (above, view)) and not above.outputs:
            view = replace(view, before=above.folded)
            shared.pop()
        shared.append(view)
    return shared


def _may_share(view: CellView) -> bool:
    return view.kind == "code" and not view.is_open and view.title != UNFINISHED


def _markdown_view(number: int, cell: NotebookNode, html: str) -> CellView:
    kind = "solution" if "solution" in cell_tags(cell) else "markdown"
    return CellView(number, kind, Markup(html), Markup(""))


def _code_view(number: int, cell: NotebookNode, folder: Path, quality: int | None) -> CellView:
    tags = cell_tags(cell)
    title = PARAMETERS if "injected-parameters" in tags else ""
    if cell.source.strip() and cell.get("execution_count") is None:
        title = UNFINISHED
    source = highlight(cell.source, PythonLexer(), HtmlFormatter(nowrap=True))
    outputs = "" if quality is None else outputs_html(cell.outputs, folder, quality)
    kind = "solution" if "solution" in tags else "code"
    is_open = bool(tags & {"definition", "exercise"})
    names, lines = tuple(_DEFINED.findall(cell.source)), cell.source.count("\n") + 1
    return CellView(number, kind, Markup(source), Markup(outputs), title, names, lines, is_open)
