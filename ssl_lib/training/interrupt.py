"""Stopping a training by hand without losing what it has learnt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """A training that was interrupted and stored where it stands; JupyterLab shows the message
    alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Inside, an interrupt (Ctrl-C, the stop button) is noted and answered when it is asked for, so
    that nothing stops between a weight and its teacher's. A second one stops at once.

    Outside of the main thread, and where interrupts are ignored, nothing is changed.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if before in (None, signal.SIG_IGN):
        yield lambda: False
        return
    noted = False

    def note(*_: object) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)
