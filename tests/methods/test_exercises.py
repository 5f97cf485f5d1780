"""Tasks for the reader: enough of them, inside the text; each solution passes, each stub waits."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssl_lib.notebook.files import cell_tags, read_cells
from ssl_lib.notebook.quiz import Grade
from ssl_lib.notebook.source import NOTEBOOKS_DIR

SCRIPTS = sorted(NOTEBOOKS_DIR.glob("*.py"))
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)```", re.S)
QUESTION = re.compile(r"<details><summary>(\d+)\. (.+?)</summary>\s*(.+?)\s*</details>", re.S)
FEWEST_TASKS, QUESTIONS = 5, 10
CONTEXT = {"setup", "definition", "golden"}


def last_value(source: str, names: dict) -> object:
    """Run a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def is_context(cell) -> bool:
    """Cells that a task may build on: imports, definitions and toys, none of which trains."""
    lines = ast.parse(cell.source).body
    plain = all(
        isinstance(line, ast.Import | ast.ImportFrom)
        or (isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant))
        for line in lines
    )
    return plain or bool(cell_tags(cell) & CONTEXT)


def grades(script: Path, *, solved: bool) -> Iterator[Grade]:
    """The grade of every task, with the reader's stub or with the solution that stands below it."""
    cells, names = read_cells(script), {}
    for place, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        if "exercise" not in cell_tags(cell):
            if is_context(cell):
                last_value(cell.source, names)
            continue
        value = last_value(cell.source, names)
        if not isinstance(value, Grade):
            continue
        if solved and (found := SOLUTION.search(cells[place + 1].source)):
            exec(found.group(1), names)
            value = last_value(cell.source, names)
        yield value


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_solution_passes(script: Path) -> None:
    for grade in grades(script, solved=True):
        assert grade.passed, grade


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_task_waits_for_the_reader(script: Path) -> None:
    assert {grade.state for grade in grades(script, solved=False)} == {"not tried"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_reader_has_work_inside_the_text_and_ten_questions_at_its_end(script: Path) -> None:
    cells = read_cells(script)
    text = "\n".join(cell.source for cell in cells)
    tasks = re.findall(r"^\*\*Task (\d+)\.", text, re.M)
    assert tasks == [str(number) for number in range(1, len(tasks) + 1)]
    assert len(tasks) >= FEWEST_TASKS
    asked = QUESTION.findall(text)
    assert [number for number, *_ in asked] == [str(n) for n in range(1, QUESTIONS + 1)]
    assert all(answer.strip() for *_, answer in asked)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    remember = headings.index("## What do you remember?")
    assert headings[remember + 1] == "## What stays?"
    last_task = text.index(f"**Task {len(tasks)}.")
    early = sum(text.index(f"**Task {n}.") < text.index(headings[remember // 2]) for n in (1, 2))
    assert early, f"the first tasks come in the first half; the last at {last_task}"


def test_a_wrong_solution_is_noticed(tmp_path: Path) -> None:
    (first, *_) = SCRIPTS
    wrong = first.read_text().replace("decay * teacher + (1 - decay) * student", "teacher")
    copy = tmp_path / first.name
    copy.write_text(wrong)
    assert any(grade.state == "failed" for grade in grades(copy, solved=True))
