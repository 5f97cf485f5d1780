"""Write the public address into the notebooks: links that open them elsewhere, and Colab's source.

python -m ssl_lib.reports.badges https://github.com/OWNER/NAME

Needed once, and again when the address changes; running it twice changes nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ssl_lib.notebook.files import existing, sync, write_text
from ssl_lib.notebook.source import NOTEBOOKS_DIR
from ssl_lib.utils.errors import InputError

_ADDRESS = re.compile(r"https://github\.com/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?")
_LINKS = re.compile(r"^# Open this notebook in \[Colab\].*\n#\n", re.MULTILINE)
_SOURCE = re.compile(r'^(SOURCE = os\.environ\.get\("SSL_SOURCE", ")[^"]*("\))', re.MULTILINE)
_TITLE = re.compile(r"^# # .+\n#\n", re.MULTILINE)


def links(owner: str, name: str, notebook: str) -> str:
    """One line of Markdown: where a notebook opens in Colab and Binder, and where its pages are."""
    file = f"notebooks/{notebook}.ipynb"
    colab = f"https://colab.research.google.com/github/{owner}/{name}/blob/main/{file}"
    binder = f"https://mybinder.org/v2/gh/{owner}/{name}/main?urlpath=lab/tree/{file}"
    pages = f"https://{owner.lower()}.github.io/{name}/"
    return f"Open this notebook in [Colab]({colab}) or [Binder]({binder}), or [read it]({pages})."


def write_badges(address: str, scripts: Sequence[Path]) -> list[Path]:
    """Put the address into each script, below its title and into its Colab cell; what changed.

    Raises `InputError` for an address of another form, or a script without title or Colab cell.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(
            f"{address!r} is no address of a repository",
            expected="https://github.com/OWNER/NAME",
        )
    changed = []
    for script in map(existing, scripts):
        old = script.read_text(encoding="utf-8")
        bare, found = _SOURCE.subn(
            rf"\g<1>https://github.com/{match['owner']}/{match['name']}\g<2>",
            _LINKS.sub("", old),
        )
        title = _TITLE.search(bare)
        if title is None or found != 1:
            raise InputError("has no title followed by text, or no Colab cell", where=script)
        line = f"# {links(match['owner'], match['name'], script.stem)}\n#\n"
        new = bare[: title.end()] + line + bare[title.end() :]
        if new != old:
            write_text(script, new)
            changed.append(script)
    sync(scripts)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if len(given) != 1:
            raise InputError("one address is needed", expected="https://github.com/OWNER/NAME")
        changed = write_badges(given[0], sorted(NOTEBOOKS_DIR.glob("*.py")))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"written: {path.name}" for path in changed) or "nothing to change")
    return 0


if __name__ == "__main__":
    sys.exit(main())
