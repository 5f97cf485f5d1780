"""One function for many arguments, in other processes: for work that holds Python's lock.

Each process is a fresh interpreter that is fed by a pipe. Nothing of the calling program is run
there again, so it works from a notebook, a script without a guard, a test and a Dask worker alike.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from queue import SimpleQueue
from typing import Any

from ssl_lib.utils.errors import InputError

SERVE = "from ssl_lib.data.parallel import serve; serve()"


def importable(function: Callable) -> bool:
    """Whether another process finds the function: one of an installed module, not of a notebook."""
    module = getattr(function, "__module__", "__main__")
    inner = "<" in getattr(function, "__qualname__", "<")  # a lambda, or a function in another
    try:
        return not inner and module != "__main__" and find_spec(module) is not None
    except (ValueError, ImportError):
        return False


def in_processes(
    function: Callable[..., Any], calls: Sequence[tuple[tuple, dict]], workers: int
) -> Iterator[Any]:
    """`function(*arguments, **options)` for each call, in their order, by `workers` processes.

    With one worker, or a function that no other process can import, it is done here. Raises
    `InputError` with the process's own words if one fails.
    """
    if workers < 2 or len(calls) < 2 or not importable(function):
        for arguments, options in calls:
            yield function(*arguments, **options)
        return
    with _servers(min(workers, len(calls))) as idle, ThreadPoolExecutor(workers) as threads:

        def ask(call: tuple[tuple, dict]) -> Any:
            server = idle.get()
            try:
                pickle.dump((function, *call), server.stdin)
                server.stdin.flush()
                good, answer = pickle.load(server.stdout)
            except (EOFError, OSError) as error:
                raise InputError("a helping process ended", fix="is there memory left?") from error
            finally:
                idle.put(server)
            if not good:
                raise InputError(f"a helping process failed: {answer}")
            return answer

        yield from threads.map(ask, calls)


@contextmanager
def _servers(count: int) -> Iterator[SimpleQueue]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    pipes = partial(subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    servers = [pipes([sys.executable, "-c", SERVE], env=environment) for _ in range(count)]
    idle: SimpleQueue = SimpleQueue()
    for server in servers:
        idle.put(server)
    try:
        yield idle
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def serve() -> None:
    """Answer calls from standard input until it ends; what they print goes to standard error."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    while True:
        try:
            function, arguments, options = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, function(*arguments, **options)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()
