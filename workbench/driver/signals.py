"""What a command does about the signals that ask it to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, kill, a closed terminal, Ctrl-\, and what a scheduler sends before the time is up.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


class Stop:
    """Listens for ``SIGNALS`` while a command runs, from its preparations to its end.

    The first one raises ``KeyboardInterrupt``, or asks for a stop in good order where trials run
    (``deferred``); the second one ends the process at once.

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
        """Listen for the length of a block; nothing is changed outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._terminals = [number for number in (1, 2) if os.isatty(number)]
        # A command below nohup outlives its terminal.
        lasting = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        numbers = [n for n in SIGNALS if not (lasting and n == signal.SIGHUP)]
        before = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block in which the first signal raises nothing: the block looks at ``signal``."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    @contextmanager
    def before_exit(self, act: Callable[[], None]) -> Iterator[None]:
        """A block in which a second signal calls ``act`` before it ends the process."""
        self._last_act = act
        try:
            yield
        finally:
            self._last_act = lambda: None

    def _hear(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._leave_terminal()
            if self.signal == number:
                return  # A terminal that closes sends several.
        if self.signal is not None:
            try:
                self._last_act()
            finally:
                os._exit(128 + number)
        self.signal = number
        if not self._deferred:
            raise KeyboardInterrupt

    def _leave_terminal(self) -> None:
        """Write to a closed terminal no more: each attempt would be an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminals:
            os.dup2(nowhere, number)
        os.close(nowhere)
