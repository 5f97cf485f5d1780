"""What is found about the files of a folder: excluded, a warning, or a note, each in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ssl_lib.utils.errors import InputError, printable

Weight = Literal["excluded", "warning", "note"]
Topic = Literal["", "matched", "unread"]
"""What some findings are about that are told elsewhere, too: label maps matched to scans of another
name, and folders that are not read."""


@dataclass(frozen=True)
class Finding:
    """One thing to know about a file: excluded, to be looked at (a warning), or only a note."""

    weight: Weight
    file: str
    problem: str
    expected: str = ""
    fix: str = ""
    topic: Topic = ""

    def __str__(self) -> str:
        more = [f"expected: {self.expected}"] if self.expected else []
        more += [f"fix: {self.fix}"] if self.fix else []
        return f"{self.file}: {self.problem}" + (f" ({'; '.join(more)})" if more else "")


@dataclass
class Findings:
    """What is found about the files of a folder; whatever a reader refuses is excluded."""

    folder: Path
    found: list[Finding] = field(default_factory=list)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Note an `InputError` instead of raising it."""
        try:
            yield
        except InputError as error:
            self.exclude(error.where, error.problem, error.expected, error.fix)

    def exclude(
        self, path: str | Path | None, problem: str, expected: str = "", fix: str = ""
    ) -> None:
        """A file that cannot be used."""
        self.found.append(Finding("excluded", self.name_of(path), problem, expected, fix))

    def warn(
        self,
        path: str | Path | None,
        problem: str,
        expected: str = "",
        fix: str = "",
        topic: Topic = "",
    ) -> None:
        """A file that is used, although it should be looked at."""
        self.found.append(Finding("warning", self.name_of(path), problem, expected, fix, topic))

    def note(
        self,
        path: str | Path | None,
        problem: str,
        expected: str = "",
        fix: str = "",
        topic: Topic = "",
    ) -> None:
        """Something that asks for nothing."""
        self.found.append(Finding("note", self.name_of(path), problem, expected, fix, topic))

    def name_of(self, path: str | Path | None) -> str:
        """A file as messages call it: by its path inside the folder."""
        if isinstance(path, Path) and path.is_relative_to(self.folder):
            return printable(path.relative_to(self.folder).as_posix())
        return printable(path)


def some(names: Sequence[str], most: int = 6) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def told(findings: Collection[Finding]) -> list[str]:
    """A line for each kind of finding, with every file that it was found in."""
    alike: dict[Finding, list[str]] = {}
    for one in findings:
        alike.setdefault(replace(one, file=""), []).append(one.file)
    return [str(replace(one, file=", ".join(files))) for one, files in alike.items()]


def refuse_together(folder: Path, findings: Collection[Finding], problem: str = "") -> InputError:
    """One refusal for a folder that tells all findings and all files."""
    count = len(findings)
    problem = problem or f"{count} file{'s' if count > 1 else ''} in this folder cannot be used"
    return InputError(
        problem + "".join(f"\n    {line}" for line in told(findings)),
        where=folder,
        fix="fix or remove these files",
    )
