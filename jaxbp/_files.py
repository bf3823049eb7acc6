"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a place beside `path` to write to, which becomes `path` when the block ends without an error.

    Args:
        path: the file; its folder is made if it is missing.

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
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
