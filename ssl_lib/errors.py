"""The one kind of error that is the user's to mend.

Everything that can be wrong with a file, a parameter or a label map ends here, as a message that
says what was wrong, where, what was expected and how to fix it. Command lines print the message and
exit with code 2; they never print a stack trace for it.
"""

from __future__ import annotations

from pathlib import Path


class InputError(ValueError):
    """A file, parameter or label map that cannot be used as it is."""

    def __init__(
        self, problem: str, *, where: str | Path | None = None, expected: str = "", fix: str = ""
    ) -> None:
        lines = [f"{where}: {problem}" if where is not None else problem]
        lines += [f"  expected: {expected}"] if expected else []
        lines += [f"  fix: {fix}"] if fix else []
        super().__init__("\n".join(lines))
        self.problem, self.where, self.expected, self.fix = problem, where, expected, fix
