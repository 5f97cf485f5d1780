"""List, fetch, verify and cite the public data sets that the notebooks can use.

python data_download.py list
python data_download.py fetch hippocampus
python data_download.py fetch la2018 --subset 8
python data_download.py verify hippocampus
python data_download.py cite acdc
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ssl_lib.data import download
from ssl_lib.data.published import PUBLISHED
from ssl_lib.utils.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, or 2 after a message about what went wrong."""
    options = _parser().parse_args(arguments)
    try:
        print(_run(options))
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> str:
    if options.command == "list":
        return download.overview()
    if options.command == "cite":
        return download.cite(options.name)
    if options.command == "verify":
        count = download.verify(options.name, options.data_dir)
        return f"{options.name}: {count} files, all as published"
    folder = download.fetch(
        options.name, options.data_dir, mirror=options.mirror, subset=options.subset
    )
    return f"{options.name}: complete and verified in {folder}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the public sets, one line each")
    for command, text in (
        ("fetch", "download what is missing, checking every file"),
        ("verify", "hash every file again"),
        ("cite", "licence, citation and known limits"),
    ):
        sub = commands.add_parser(command, help=text)
        sub.add_argument("name", help=", ".join(PUBLISHED))
        if command != "cite":
            sub.add_argument("--data-dir", help="default: $SSL_DATA_DIR, else data")
        if command == "fetch":
            sub.add_argument("--mirror", help="folder or URL that is asked before the public host")
            sub.add_argument(
                "--subset", type=int, metavar="N", help="only the first N scans (ACDC: patients)"
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
