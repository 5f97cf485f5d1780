"""What every notebook keeps to, and for each rule a small notebook that breaks it."""

from __future__ import annotations

import ast
import io
import re
import statistics
import symtable
import tokenize
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from ssl_lib.notebook.files import cell_tags, paired, read_cells, sync
from ssl_lib.notebook.source import NOTEBOOKS_DIR, read_parameters
from ssl_lib.reports.markdown import Markdown
from ssl_lib.utils.errors import InputError

SCRIPTS = sorted(NOTEBOOKS_DIR.glob("*.py"))
MEDIAN_LINES, MOST_LINES = 7, 28
FEWEST_WORDS, MOST_WORDS = 1500, 3000
MOST_BYTES = 1_000_000
COMMON_PARAMETERS = {
    "DATASET": "phantom",
    "PROFILE": "quick",
    "N_LABELLED": 4,
    "LABELLED_DRAW": 0,
    "SEED": 0,
    "DATA_DIR": "",
    "RESULTS_DIR": "reports/results",
    "RUNS_DIR": "build/runs",
}
TAGS = {
    "colab",
    "parameters",
    "definition",
    "setup",
    "figure",
    "first-figure",
    "thumbnail",
    "widget",
    "train",
    "results",
    "exercise",
    "solution",
    "golden",
    "predict",
    "nbval-check-output",
}
READS_RESULTS_ONLY = {"SEED", "LABELLED_DRAW", "DATA_DIR", "RUNS_DIR"}
"""Parameters that a notebook which trains nothing has no use for."""
OWN_SPLIT = {"LABELLED_DRAW"}
"""Those of which one's own folder has no use: `FOLDS` shows what other choices are worth."""
HOME = {
    "02_uncertainty_co_training": {"DATASET": "phantom_3d"},
    "06_your_own_scans": {"DATASET": "phantom_folder"},
    "08_newer_ideas": {"N_LABELLED": 1},
}
"""Defaults of a notebook's own: views along three axes need a volume, one's own scans a folder, and
newer ideas as few labels as there can be."""
DRAWING = {"show", "explore", "look_through"}
HOMES = re.compile(r"/home/\w|/(?:root)/|/Users/\w|[A-Z]:\\\\?Users")


# --- the rules: each returns what is wrong, one line each


def short_cells(script: Path) -> list[str]:
    lengths = [len(lines_of(cell)) for cell in cells_of(script, "code")]
    wrong = [f"a code cell has {length} lines" for length in lengths if length > MOST_LINES]
    if lengths and statistics.median(lengths) > MEDIAN_LINES:
        wrong.append(f"the median code cell has {statistics.median(lengths)} lines")
    return wrong


def stated_parameters(script: Path) -> list[str]:
    try:
        parameters = read_parameters(script)
    except InputError as error:
        return [str(error)]
    common = COMMON_PARAMETERS | HOME.get(script.stem, {})
    missing = [
        f"{name} = {value!r} is missing or differs"
        for name, value in common.items()
        if parameters.get(name, NotImplemented) != value
        and not (script.stem == "05_comparison" and name in READS_RESULTS_ONLY)
        and not (script.stem == "06_your_own_scans" and name in OWN_SPLIT)
    ]
    cells = [cell for cell in cells_of(script, "code") if "parameters" in cell_tags(cell)]
    bare = [line for cell in cells for line in lines_without_comment(cell.source)]
    return missing + [f"no comment: {line}" for line in bare]


def known_tags(script: Path) -> list[str]:
    wrong = []
    for cell in read_cells(script):
        wrong += [f"unknown tag {tag!r}" for tag in sorted(cell_tags(cell) - TAGS)]
        if ("golden" in cell_tags(cell)) != ("nbval-check-output" in cell_tags(cell)):
            wrong.append("`golden` and `nbval-check-output` go together")
    return wrong


def described_figures(script: Path) -> list[str]:
    wrong = []
    for cell in cells_of(script, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and draws(node.func):
                alts = [keyword for keyword in node.keywords if keyword.arg == "alt"]
                wrong += [] if alts else [f"no alt=: {ast.unparse(node)[:60]}"]
    return wrong


def draws(function: ast.expr) -> bool:
    """Whether a call of it shows a figure: by its name, or as one of `interactive`."""
    owner = getattr(function, "value", None)
    return name_of(function) in DRAWING or getattr(owner, "id", "") == "interactive"


def lasting_sliders(script: Path) -> list[str]:
    """A slider draws anew long after its cell: no later cell gives another meaning to a name that
    its functions read."""
    cells, wrong, functions = cells_of(script, "code"), [], {}
    tables = [symtable.symtable(cell.source, "cell", "exec") for cell in cells]
    for number, (cell, table) in enumerate(zip(cells, tables, strict=True)):
        functions |= {part.get_name(): part for part in table.get_children()}
        calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
        if not any(name_of(call.func) == "explore" for call in calls):
            continue
        given = {arg.id for call in calls for arg in call.args if isinstance(arg, ast.Name)}
        todo = [*table.get_children(), *(functions[name] for name in given & set(functions))]
        read = names_read(todo, functions)
        for later in tables[number + 1 :]:
            bound = {symbol.get_name() for symbol in later.get_symbols() if symbol.is_assigned()}
            wrong += [f"{name!r} of a slider is bound anew" for name in sorted(read & bound)]
    return wrong


def names_read(todo: list[symtable.SymbolTable], functions: dict) -> set[str]:
    """Global names that these functions read, and those that they call."""
    read: set[str] = set()
    while todo:
        part = todo.pop()
        new = {one.get_name() for one in part.get_symbols() if one.is_global()} - read
        read |= new
        todo += [*part.get_children(), *(functions[name] for name in new & set(functions))]
    return read


def ordered_headings(script: Path) -> list[str]:
    headings = rendered(script)[0].headings
    levels = [heading.level for heading in headings]
    wrong = [] if levels.count(1) == 1 and levels[0] == 1 else ["one title must come first"]
    return wrong + [
        f"{after.text!r} skips a level"
        for before, after in pairwise(headings)
        if after.level > before.level + 1
    ]


def shown_formulas(script: Path) -> list[str]:
    sources = re.findall(r'<code class="formula-source">(.*?)</code>', rendered(script)[1], re.S)
    return [f"the report cannot show {source}" for source in sources]


def right_length(script: Path) -> list[str]:
    if not re.match(r"0[0-68]b?_", script.name):
        return []
    words = sum(count_words(cell.source) for cell in cells_of(script, "markdown"))
    return [] if FEWEST_WORDS <= words <= MOST_WORDS else [f"{words} words"]


def stated_reading_time(script: Path) -> list[str]:
    """Minutes to read and minutes with the tasks, as they are stated on top, and what they are by
    120 words or 25 lines of code a minute and 6 minutes a task."""
    if not re.match(r"0\db?_", script.name):
        return []
    text = "\n".join(cell.source for cell in cells_of(script, "markdown"))
    stated = re.search(r"about (\d+) minutes to read, (\d+) with the tasks", text)
    if not stated or "](../docs/glossary.md)" not in text:
        return ["the title card states no reading time, or does not link to the glossary"]
    words = sum(count_words(cell.source) for cell in cells_of(script, "markdown"))
    lines = sum(len(lines_of(cell)) for cell in cells_of(script, "code"))
    reading = words / 120 + lines / 25
    tasks = 6 * len(re.findall(r"^\*\*Task \d+\.", text, re.M))
    real = (reading, reading + tasks)
    pairs = zip(map(int, stated.groups()), real, strict=True)
    return [f"{said} minutes, not {found:.0f}" for said, found in pairs if abs(said - found) > 6]


def written_numbers(script: Path) -> list[str]:
    """Python writes 13.7% and a hyphen for a minus; `percent` and `signed` write 13.7 % and −."""
    return [
        f"{spec} in a number: take `percent` or `signed` of ssl_lib.utils.words"
        for cell in cells_of(script, "code")
        for spec in re.findall(r":(?:\+[.\d]*f?|[.\d]*%)(?=\})", cell.source)
    ]


def titled_tasks(script: Path) -> list[str]:
    """Tasks are numbered from 1 on, and begin in bold with number and title."""
    text = "\n".join(cell.source for cell in cells_of(script, "markdown"))
    tasks = re.findall(r"^\*\*(Task .*)$", text, re.M)
    return [
        f"not `**Task {number}. Title.** ...`: {task}"
        for number, task in enumerate(tasks, start=1)
        if not re.match(rf"Task {number}\. [A-Z][^*]*[.?]\*\*", task)
    ]


def kept_pair(script: Path) -> list[str]:
    notebook = script.with_suffix(".ipynb")
    differences = paired(script, notebook)
    if notebook.exists() and notebook.stat().st_size > MOST_BYTES:
        differences.append(f"{notebook.name} has {notebook.stat().st_size:,} bytes")
    return differences


def no_private_paths(script: Path) -> list[str]:
    notebook = script.with_suffix(".ipynb")
    if not notebook.exists():
        return []
    texts = [text for cell in read_cells(notebook) for text in output_texts(cell)]
    found = [match for text in texts for match in HOMES.findall(text)]
    return [f"an output holds the path {path}..." for path in found]


RULES = (
    short_cells,
    stated_parameters,
    known_tags,
    described_figures,
    lasting_sliders,
    ordered_headings,
    shown_formulas,
    right_length,
    stated_reading_time,
    written_numbers,
    titled_tasks,
    kept_pair,
    no_private_paths,
)
Rule = Callable[[Path], list[str]]


# --- helpers


def cells_of(script: Path, kind: str) -> list[NotebookNode]:
    return [cell for cell in read_cells(script) if cell.cell_type == kind]


def lines_of(cell: NotebookNode) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip()]


def lines_without_comment(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    return [
        line
        for number, line in enumerate(source.splitlines(), start=1)
        if line.strip() and number not in commented
    ]


def name_of(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def rendered(script: Path) -> tuple[Markdown, str]:
    markdown = Markdown(script.parent)
    return markdown, "".join(markdown(cell.source) for cell in cells_of(script, "markdown"))


def count_words(source: str) -> int:
    """Words of prose: without code, formulas, addresses, tags and what is folded."""
    folded_and_code = (r"<details>.*?</details>", r"```.*?```")
    formulas = (r"\$\$.*?\$\$", r"\$[^$]*\$")
    for pattern in (*folded_and_code, *formulas, r"\]\([^)]*\)", r"<[^>]*>"):
        source = re.sub(pattern, " ", source, flags=re.DOTALL)
    return len(re.findall(r"[^\W\d_][\w'’-]*", source))


def output_texts(cell: NotebookNode) -> Iterator[str]:
    for output in cell.get("outputs", []):
        yield from ("".join(output.get("text", "")), "\n".join(output.get("traceback", [])))
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield "".join(content)


# --- every notebook


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_notebook(script: Path, rule: Rule) -> None:
    assert rule(script) == []


# --- every rule


PARAMETERS = "\n".join(
    f"{name} = {value!r}  # meaning" for name, value in COMMON_PARAMETERS.items()
)
GOOD = f"""\
# %% [markdown]
# # Title
#
# ## Question with $x^2$?

# %% tags=["parameters"]
{PARAMETERS}

# %% tags=["figure"]
show(draw(), alt="a square")
"""
SLIDER = """\
def part(k):
    return cut + k


def draw(k):
    return part(k)


cut = 1
explore(draw, alt=lambda k: f"{k}", k=Slider("k", (1, 2)))
"""


def write_pair(folder: Path, text: str, name: str = "90_sample.py") -> Path:
    script = folder / name
    script.write_text(text)
    sync([script])
    return script


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_sample_breaks_no_rule(tmp_path: Path, rule: Rule) -> None:
    assert rule(write_pair(tmp_path, GOOD)) == []


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (short_cells, "show(", "x = 1\n" * (MOST_LINES + 1) + "show("),
        (short_cells, "show(", "x = 1\n" * 20 + "show("),
        (stated_parameters, "SEED = 0  # meaning", "SEED = 0"),
        (stated_parameters, "SEED = 0  # meaning", "SEED = 1  # meaning"),
        (stated_parameters, "SEED = 0  # meaning", 'SEED = int("0")  # meaning'),
        (stated_parameters, "SEED = 0  # meaning", ""),
        (known_tags, '"figure"', '"figur"'),
        (known_tags, '"figure"', '"golden"'),
        (described_figures, ', alt="a square"', ""),
        (described_figures, "show(draw(), alt=", "x.explore(draw, words="),
        (described_figures, "show(draw(), alt=", "look_through(scans, words="),
        (lasting_sliders, "show(draw(), alt=", f"{SLIDER}\n\n# %%\ncut = 2\nshow(1, alt="),
        (ordered_headings, "# ## Question", "# #### Question"),
        (ordered_headings, "# # Title", "# Title"),
        (ordered_headings, "# ## Question", "# # Question"),
        (shown_formulas, "$x^2$", r"$\nosuchcommand{x}$"),
        (written_numbers, "show(", 'print(f"{0.137:.1%}")\nshow('),
        (written_numbers, "show(", 'print(f"{-0.01:+.3f}")\nshow('),
        (titled_tasks, "# ## Question", "# **Task 1.** Judge a table.\n#\n# ## Question"),
        (titled_tasks, "# ## Question", "# **Task 2. Judge a table.** Here.\n#\n# ## Question"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, rule: Rule, before: str, after: str) -> None:
    assert before in GOOD
    assert rule(write_pair(tmp_path, GOOD.replace(before, after)))


def test_a_notebook_at_home_elsewhere_says_so(tmp_path: Path) -> None:
    name = "02_uncertainty_co_training.py"
    assert stated_parameters(write_pair(tmp_path, GOOD, name))
    assert not stated_parameters(
        write_pair(tmp_path, GOOD.replace("'phantom'", "'phantom_3d'"), name)
    )


@pytest.mark.parametrize("count", [10, MOST_WORDS + 1])
def test_too_few_and_too_many_words_are_found(tmp_path: Path, count: int) -> None:
    text = GOOD.replace("# # Title", "# # Title\n#\n# " + "word " * count)
    assert right_length(write_pair(tmp_path, text, "02_sample.py"))
    assert not right_length(write_pair(tmp_path, text, "07_sample.py"))


def test_code_and_formulas_are_no_words() -> None:
    assert count_words("Two words $a + b$\n```\ncode here\n```\n<b>[three](http://x.y)</b>") == 3
    assert count_words("One <details><summary>2. Why?</summary>\n\nfolded\n\n</details> two") == 2


@pytest.mark.parametrize("path", ["/home/someone/x", "/Users/someone/x", "C:\\Users\\x"])
def test_a_private_path_in_an_output_is_found(tmp_path: Path, path: str) -> None:
    notebook_path = write_pair(tmp_path, GOOD).with_suffix(".ipynb")
    notebook = nbformat.read(notebook_path, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text=f"read {path}")]
    nbformat.write(notebook, notebook_path)
    assert no_private_paths(notebook_path.with_suffix(".py"))


def test_a_stale_and_a_huge_ipynb_are_found(tmp_path: Path) -> None:
    script = write_pair(tmp_path, GOOD)
    script.write_text(GOOD.replace("Title", "Another title"))
    assert kept_pair(script)
    sync([script])
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="x" * MOST_BYTES)]
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    assert kept_pair(script)
