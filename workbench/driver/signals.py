"""Signals that ask a command to stop: the first one politely, the second one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Ctrl-C, kill, a closed terminal, Ctrl-\, and what a scheduler sends before the time is up.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def signal_name(number: int) -> str:
    """``Ctrl-C`` or, for example, ``SIGTERM``."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


class Stop:
    """Handles ``SIGNALS`` while a command runs, from its first preparations to its end.

    The first signal raises ``KeyboardInterrupt``; while trials run (``deferred``) it is only noted,
    so that they can be parked. The second one ends the process at once.

    Attributes:
        signal: The first signal, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._last_act: Callable[[], None] = lambda: None
        self._deferred = False
        self._terminals: list[int] = []

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Handle signals for the length of a block; without effect outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self  # Python allows signal handlers in the main thread only.
            return
        self._terminals = [number for number in (1, 2) if os.isatty(number)]
        # nohup ignores SIGHUP, so that the command outlives its terminal: leave it ignored.
        under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        numbers = [n for n in SIGNALS if not (under_nohup and n == signal.SIGHUP)]
        before = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block in which the first signal is only noted; the block must check ``signal``."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    @contextmanager
    def before_exit(self, act: Callable[[], None]) -> Iterator[None]:
        """A block in which the second signal calls ``act`` before it ends the process."""
        self._last_act = act
        try:
            yield
        finally:
            self._last_act = lambda: None

    def _hear(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._leave_terminal()
            if self.signal == number:
                return  # A closing terminal sends SIGHUP several times.
        if self.signal is not None:
            line = f"\nEnded at once by {signal_name(number)}. Rerun the command to resume.\n"
            with suppress(OSError):
                # Not print: the signal may have interrupted one.
                os.write(2, line.encode())
            try:
                self._last_act()
            finally:
                # Not sys.exit: it would run handlers and wait for threads that may hang.
                os._exit(128 + number)
        self.signal = number
        if not self._deferred:
            raise KeyboardInterrupt

    def _leave_terminal(self) -> None:
        """Discard further output: each write to a closed terminal would raise an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminals:
            os.dup2(nowhere, number)
        os.close(nowhere)
