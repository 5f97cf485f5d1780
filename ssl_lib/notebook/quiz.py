"""Questions to the reader: guess before the code answers, and exercises that grade themselves.

Both return an object that Jupyter shows as HTML when it ends a cell. No kernel is needed, so the
same box works in JupyterLab and in a report; without its few lines of script the answer of a
question is folded and opens by hand. Colours are inherited; nothing is said by colour alone.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from ssl_lib.evaluation.results import SMOKE, smoke_note
from ssl_lib.notebook.stored import OWN_KEYS

BOX = "border:1px solid; border-radius:8px; padding:0.7em 1em; margin:0.8em 0; max-width:44em"

Test = tuple[str, Callable[[object], object]] | tuple[str, Callable[[object], object], str]
State = Literal["passed", "failed", "not tried"]


UNMEASURED = "Nobody has measured this yet. Run the notebook, then this cell again."
STYLE = """
.ssl-predict legend { float: left; width: 100%; margin-bottom: .4em; padding: 0; font-size: 1em; }
.ssl-predict legend ~ * { clear: both; }
"""
"""The question stands within the frame, however long it is, and not on its line."""
SCRIPT = """
(() => {
  const box = document.getElementById("ID");
  box.addEventListener("change", event => {
    const verdict = event.target.dataset.verdict;
    box.querySelector("[role=status]").textContent = verdict;
    box.querySelector("details").open = true;
  });
})();
"""


@dataclass(frozen=True)
class Question:
    """A question with options and a folded answer; `answer` is None where nobody knows it yet."""

    question: str
    options: tuple[str, ...]
    answer: str | None
    because: str

    def _repr_html_(self) -> str:
        group = "predict-" + hashlib.sha256(self.question.encode()).hexdigest()[:8]
        rows = "".join(
            _option(f"{group}-{number}", text, self._verdict(text))
            for number, text in enumerate(self.options)
        )
        answer = f"<strong>{escape(self.answer.rstrip('.'))}.</strong> " if self.answer else ""
        return (
            f"<style>{STYLE}</style>"
            f'<fieldset id="{group}" class="ssl-quiz ssl-predict" style="{BOX}">'
            f"<legend><strong>Predict:</strong> {escape(self.question)}</legend>"
            f'{rows}<p role="status" style="min-height:1.5em;margin:.4em 0;font-weight:bold"></p>'
            "<details><summary>Compare with the answer</summary>"
            f"<p>{answer}{escape(self.because)}</p>"
            f"</details><script>{SCRIPT.replace('ID', group)}</script></fieldset>"
        )

    def __repr__(self) -> str:
        options = "\n".join(f"  ( ) {option}" for option in self.options)
        return f"Predict: {self.question}\n{options}"

    def _verdict(self, option: str) -> str:
        """What the reader is told on choosing this option."""
        if self.answer is None:
            return "Your guess is noted."
        return "✓ Right." if option == self.answer else "✗ Not so."


def ask(
    question: str,
    options: Sequence[str],
    answer: str,
    because: str,
    *,
    runs: Sequence[Mapping[str, Any]] | None = None,
) -> Question:
    """Ask the reader to commit to a guess; the choice is answered at once, with its reason.

    `answer` is one of `options`. Where it was computed from stored results, these are `runs`:
    without any, and where they are of the profile `smoke`, the question has no answer and says so.
    Returns the question, shown when it ends a cell.
    """
    if runs is not None and not runs:
        return Question(question, tuple(options), None, UNMEASURED)
    if answer not in options or len(set(options)) != len(options):
        raise ValueError(f"the answer {answer!r} must be one of different options {list(options)}")
    if smoke_note(runs or ()):
        return Question(question, tuple(options), None, SMOKE)
    given = "mean and 95 % interval" if "[" in because else "mean"
    measured = f" ({given} over the stored runs of these parameters)."
    return Question(question, tuple(options), answer, because + measured * (runs is not None))


@dataclass(frozen=True)
class Line:
    """The outcome of one test; `error` is the reader's exception in one line."""

    description: str
    passed: bool
    hint: str = ""
    error: str = ""


@dataclass(frozen=True)
class Grade:
    """The outcome of an exercise: its state and one line per test."""

    name: str
    state: State
    lines: tuple[Line, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """True when it was tried and every test passed."""
        return self.state == "passed"

    def _repr_html_(self) -> str:
        items = "".join(map(_line_html, self.lines))
        return (
            f'<div class="ssl-quiz ssl-grade" style="{BOX}" role="status">'
            f"<p><strong>{escape(self._title())}</strong> {escape(self._verdict())}</p>"
            f"{f'<ul>{items}</ul>' if items else ''}</div>"
        )

    def __repr__(self) -> str:
        lines = [f"  {_mark(line)} {line.description} {_remark(line)}" for line in self.lines]
        return "\n".join([f"{self._title()} {self._verdict()}", *(line.rstrip() for line in lines)])

    def _title(self) -> str:
        return self.name if self.name.endswith("?") else f"{self.name}:"

    def _verdict(self) -> str:
        if self.state == "not tried":
            return "not tried yet. Write your answer above and run this cell again."
        right = sum(line.passed for line in self.lines)
        return f"{right} of {len(self.lines)} checks passed" + (". Well done." * self.passed)


def check(name: str, attempt: object, tests: Sequence[Test]) -> Grade:
    """Grade an exercise; returns its `Grade`, shown when it ends a cell. Never raises.

    `attempt` is the reader's function or value; `None`, `...` or `NotImplemented` mean that it has
    not been tried, and so does a function that raises `NotImplementedError` or returns
    `NotImplemented`. A test is `(description, test)` or `(description, test, hint)`, where
    `test(attempt)` is true for a right answer.
    """
    if _is_blank(attempt):
        return Grade(name, "not tried")
    lines = []
    for description, test, *hint in tests:
        try:
            lines.append(_run(description, test, attempt, *hint))
        except NotImplementedError:
            return Grade(name, "not tried")
    return Grade(name, "passed" if all(line.passed for line in lines) else "failed", tuple(lines))


def _is_blank(value: object) -> bool:
    return value is None or value is NotImplemented or value is Ellipsis


def _run(description: str, test: Callable, attempt: object, hint: str = "") -> Line:
    try:
        outcome = test(_refusing_stubs(attempt))
        return Line(description, bool(outcome), hint)
    except NotImplementedError:
        raise
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        return Line(description, False, hint, f"{type(error).__name__}: {first}".rstrip(": "))


def _refusing_stubs(attempt: object) -> object:
    """The attempt; a function that returns `NotImplemented` raises `NotImplementedError`."""
    if not inspect.isfunction(attempt):
        return attempt

    def called(*arguments: object, **named: object) -> object:
        value = attempt(*arguments, **named)
        if value is NotImplemented:
            raise NotImplementedError
        return value

    return called


def _option(identity: str, text: str, verdict: str) -> str:
    group = identity.rpartition("-")[0]
    return (
        f'<div><input type="radio" name="{group}" id="{identity}" {OWN_KEYS}'
        f' data-verdict="{escape(verdict)}"> <label for="{identity}">{escape(text)}</label></div>'
    )


def _mark(line: Line) -> str:
    return "✓" if line.passed else "✗"


def _remark(line: Line) -> str:
    if line.passed:
        return ""
    return " ".join(part for part in (line.error and f"[{line.error}]", line.hint) if part)


def _line_html(line: Line) -> str:
    state = "passed" if line.passed else "failed"
    error = f"<br><code>{escape(line.error)}</code>" if line.error else ""
    hint = f"<br><em>Hint:</em> {escape(line.hint)}" if line.hint and not line.passed else ""
    return (
        f"<li>{_mark(line)} <strong>{state}</strong>: {escape(line.description)}{error}{hint}</li>"
    )
