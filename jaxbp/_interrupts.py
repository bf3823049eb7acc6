"""Signals that ask a program to end: kept until it has saved, or an exception while it writes."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)


class Interrupts:
    """First signal since the block began, as `number`; 0 before it."""

    number = 0

    def note(self, number: int, _: FrameType | None) -> None:
        """Keep the first signal; end the program at the second with 128 + its number."""
        if self.number:
            os._exit(128 + number)
        self.number = number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Listen to SIGTERM and SIGINT within the block.

    Python runs the handler when the compiled program returns. Outside the main thread no signal is
    heard.
    """
    heard = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = {number: signal.signal(number, heard.note) for number in ENDING}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_raise() -> Iterator[None]:
    """Let Ctrl-C end a block by an exception where it would end the program at once.

    So no temporary file is left. Programs take Ctrl-C so outside of writes, because a callback of
    JAX would lose the exception.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
