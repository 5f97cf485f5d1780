"""The one kind of error that is the user's to fix.

Everything that can be wrong with a file, a parameter or a label map ends here, as a message that
says what was wrong, where, what was expected and how to fix it. Command lines print the message and
exit with code 2; they never print a stack trace for it.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Kinds of characters that no name has: control codes, halves of characters, ends of lines."""


def is_text(text: str) -> bool:
    """Whether a name can be shown on one line and stored as UTF-8."""
    return not any(unicodedata.category(character) in NO_TEXT for character in text)


def printable(text: object) -> str:
    """A text in which a terminal has nothing to obey: characters that no name has are spelt out."""
    return "".join(c if is_text(c) else c.encode("unicode_escape").decode() for c in str(text))


class InputError(ValueError):
    """A file, parameter or label map that cannot be used as it is."""

    def __init__(
        self, problem: str, *, where: str | Path | None = None, expected: str = "", fix: str = ""
    ) -> None:
        lines = [f"{printable(where)}: {problem}" if where is not None else problem]
        lines += [f"  expected: {expected}"] if expected else []
        lines += [f"  fix: {fix}"] if fix else []
        super().__init__("\n".join(lines))
        self.problem, self.where, self.expected, self.fix = problem, where, expected, fix

    def _render_traceback_(self) -> list[str]:
        """What JupyterLab and a page show: the message alone, for whose sake it was raised."""
        return [f"InputError: {self}"]
