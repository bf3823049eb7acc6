"""Files that are written whole or not at all, and folders that one program at a time writes to."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxbp._interrupts import interrupts_raise

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"


def as_path(path: str | Path) -> Path:
    """Return the path with `~` replaced by the home folder.

    Raises:
        ValueError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path} must be in a home folder that exists") from None


def check_output(path: str | Path, *inputs: str | Path) -> Path:
    """Return the path of a file to write, checked before the work that makes its content.

    Args:
        path: the file.
        *inputs: files that are read and must not be overwritten.

    Raises:
        ValueError: the path is a folder or one of the inputs, or its folder cannot be written.
    """
    path = as_path(path)
    full = path.absolute()
    folder = next(some for some in (*full.parents, full) if some.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"out must be a file that can be written, got {path}")
    for source in map(as_path, inputs):
        if path.exists() and source.exists() and path.samefile(source):
            raise ValueError(f"out must be another file than the input {source}, got {path}")
    return path


@contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[Path]:
    """Give a temporary file that takes the place of `path` when the block ends without an error.

    A symbolic link stays one: the file that it points to is replaced. An existing file keeps its
    permissions, a new one follows the umask. What exists and is no regular file (a device, a FIFO)
    is written to in place.

    Args:
        path: the file; its folder is made if it is missing.
        durable: also waits until the disk has it, so that it survives a crash of the machine.

    Yields:
        The temporary file, with the same suffix.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode if target.exists() else None
    in_place = mode is not None and not stat.S_ISREG(mode)
    folder = Path(tempfile.gettempdir()) if in_place else target.parent
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{target.stem[:40]}-{secrets.token_hex(4)}{target.suffix}"
    with interrupts_raise():
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield partial
            if in_place:
                with partial.open("rb") as source, target.open("wb") as output:
                    shutil.copyfileobj(source, output)
                return
            if mode is not None:
                partial.chmod(stat.S_IMODE(mode))
            if durable:
                _synchronize(partial)
            partial.replace(target)
            if durable and os.name != "nt":  # Windows opens no folders
                _synchronize(folder)
        except OSError as error:
            if error.filename is not None or error.errno is None:
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder if it is missing and keep other programs out of it until the block ends.

    The lock ends with the process that holds it, killed or not.

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
