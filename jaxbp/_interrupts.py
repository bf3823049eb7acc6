"""Signals that ask a program to end, kept until it has saved."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)


class Interrupts:
    """What has come so far: `number` of the first signal, None before it."""

    number: int | None = None

    def note(self, number: int, _: FrameType | None) -> None:
        """Keeps the first signal."""
        self.number = self.number or number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Listens to SIGTERM and SIGINT within the block; a second one ends the program at once, with
    128 + its number.

    Outside the main thread it hears nothing.
    """
    heard = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Python runs a handler when the compiled program returns; the second signal must not wait for
    # that.
    threading.Thread(target=_end_at_the_second, args=(reader,), daemon=True).start()
    before = {number: signal.signal(number, heard.note) for number in ENDING}
    earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)  # which ends the thread


def _end_at_the_second(reader: int) -> None:
    count = 0
    while byte := os.read(reader, 1):
        count += byte[0] in ENDING
        if count == 2:
            os._exit(128 + byte[0])
    os.close(reader)
