"""Files that are written whole or not at all, and folders that one program at a time writes to."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


@contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[Path]:
    """Gives a place beside `path` to write to, which becomes `path` when the block ends without an
    error.

    Args:
        path: the file; its folder is made if it is missing.
        durable: also waits until the disk has it, so that it outlives the machine's end.

    Yields:
        The place, with the same suffix.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)  # mkstemp's files are private, what is handed out is not
        if durable:
            _synchronize(partial)
        partial.replace(path)
        if durable and os.name != "nt":  # Windows opens no folders
            _synchronize(path.parent)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder if it is missing and keeps other programs out of it; the lock ends with its
    owner, killed or not.

    Raises:
        ValueError: another program has it.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"{folder} must be used by one run at a time, another one has it"
                ) from None
        yield


def _synchronize(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
