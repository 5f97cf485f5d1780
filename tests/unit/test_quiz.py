from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from ssl_lib.evaluation.results import SMOKE
from ssl_lib.notebook.quiz import UNMEASURED, ask, check

NASTY = "<script>alert(\"x\")</script> & 'co'"
TESTS = [
    ("zero stays zero", lambda half: half(0) == 0),
    ("four becomes two", lambda half: half(4) == 2, "divide by two"),
]


class Elements(HTMLParser):
    """Every tag with its attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def parsed(thing: object) -> Elements:
    return Elements(thing._repr_html_())


# --- predict


def test_a_question_is_an_accessible_radio_group_with_a_folded_answer() -> None:
    page = parsed(ask("Which is larger?", ["one", "two"], "two", "because 2 > 1"))
    radios, labels = page.named("input"), page.named("label")
    assert [tag for tag, _ in page.tags[:3]] == ["style", "fieldset", "legend"]
    assert {radio["type"] for radio in radios} == {"radio"}
    assert len({radio["name"] for radio in radios}) == 1
    assert [radio["id"] for radio in radios] == [label["for"] for label in labels]
    assert "open" not in page.named("details")[0]
    assert not any("checked" in radio for radio in radios)
    assert "because 2 > 1" in page.text


def test_two_questions_do_not_share_a_radio_group() -> None:
    names = {parsed(ask(q, ["a", "b"], "a", "")).named("input")[0]["name"] for q in "xy"}
    assert len(names) == 2


def test_a_question_escapes_everything() -> None:
    page = parsed(ask(NASTY, [NASTY, "b"], NASTY, NASTY))
    assert len(page.named("script")) == 1, "its own"
    assert page.text.count(NASTY) == 4


def test_each_option_knows_its_verdict_and_keeps_its_arrow_keys() -> None:
    radios = parsed(ask("?", ["a", "b"], "a", "reason")).named("input")
    assert [radio["data-verdict"] for radio in radios] == ["✓ Right.", "✗ Not so."]
    assert all(radio["data-lm-suppress-shortcuts"] == "true" for radio in radios)


@pytest.mark.parametrize(
    ("runs", "words"),
    [([], UNMEASURED), ([{"profile": "quick"}, {"profile": "smoke"}], SMOKE)],
)
def test_an_answer_without_a_real_run_is_none(runs: list, words: str) -> None:
    page = parsed(ask("?", ["a", "b"], "a", "a wins by 0.9", runs=runs))
    assert words in page.text
    assert "0.9" not in page.text
    assert not any("Right" in radio["data-verdict"] for radio in page.named("input"))


def test_an_answer_from_runs_says_so() -> None:
    runs = [{"profile": "quick"}]
    page = parsed(ask("?", ["a", "b"], "a", "+0.2 [+0.1, +0.3]", runs=runs))
    assert "+0.2 [+0.1, +0.3] (mean and 95 % interval over the stored runs" in page.text
    page = parsed(ask("?", ["a", "b"], "a", "+0.2", runs=runs))
    assert "+0.2 (mean over the stored runs" in page.text


@pytest.mark.parametrize(("options", "answer"), [(["a", "b"], "c"), (["a", "a"], "a")])
def test_a_question_without_a_clear_answer_is_refused(options: list[str], answer: str) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        ask("?", options, answer, "")


def test_the_answer_is_not_in_the_plain_text_form() -> None:
    assert "reason" not in repr(ask("?", ["a", "b"], "a", "reason"))


# --- check


def stub_that_raises(value: float) -> float:
    raise NotImplementedError


@pytest.mark.parametrize(
    "attempt", [None, NotImplemented, ..., stub_that_raises, lambda value: NotImplemented]
)
def test_an_untouched_exercise_is_not_tried(attempt: object) -> None:
    grade = check("Half", attempt, TESTS)
    assert (grade.state, grade.passed, grade.lines) == ("not tried", False, ())
    assert "not tried yet" in parsed(grade).text


def test_a_right_answer_passes() -> None:
    grade = check("Half", lambda value: value / 2, TESTS)
    assert grade.passed
    assert "2 of 2 checks passed" in parsed(grade).text
    assert "divide by two" not in parsed(grade).text


def test_a_wrong_answer_shows_the_hint_of_the_failed_line_only() -> None:
    grade = check("Half", lambda value: value, TESTS)
    assert [line.passed for line in grade.lines] == [True, False]
    assert grade.state == "failed"
    assert "Hint: divide by two" in parsed(grade).text
    assert "divide by two" in repr(grade)


def test_an_exception_in_the_readers_code_is_one_escaped_line() -> None:
    def attempt(value: float) -> float:
        raise KeyError(f"<b>first</b>\nsecond {value}")

    grade = check("Half", attempt, TESTS)
    assert grade.state == "failed"
    assert grade.lines[0].error.startswith("KeyError: ")
    assert "\n" not in grade.lines[0].error
    assert not parsed(grade).named("b")


def test_array_answers_count_as_truth_values_and_ambiguous_ones_fail() -> None:
    attempt = np.array([1.0, 2.0])
    assert check("Array", attempt, [("sum", lambda a: a.sum() == 3)]).passed
    assert check("Array", attempt, [("which?", lambda a: a == 1)]).state == "failed"


def test_a_grade_escapes_everything() -> None:
    page = parsed(check(NASTY, 1, [(NASTY, lambda a: False, NASTY)]))
    assert not page.named("script")
    assert page.text.count(NASTY) == 3
