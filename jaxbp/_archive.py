"""Files of arrays with a description: npz archives that are checked before they are used.

An archive is an uncompressed zip file. Its first member is `description`, JSON text as bytes; every
other member is an array, whose shape and dtype follow from the description. The file ends with the
SHA-256 digest of everything before it, as the comment of the zip file.
"""

import io
import json
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxbp._files import atomic_write

MAX_BYTES = 2**30  # of a file, and of the numbers in it
MAX_DESCRIPTION, MAX_DIRECTORY = 2**20, 2**22  # bytes
MAX_MEMBERS = 10_000
MAX_HEADER = 1024  # bytes of a member before its numbers
DIGEST = 64  # bytes
_END = struct.Struct("<4s4H2LH")  # the record at the end of a zip file, before its comment


class Slot(NamedTuple):
    """Required shape and dtype of an array: float32 or 64, int32 or 64, uint32, uint8 or bool."""

    shape: tuple[int, ...]
    dtype: str


Layout = Callable[[dict[str, Any]], Mapping[str, Slot]]


def write_archive(
    path: Path,
    what: str,
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    layout: Layout,
) -> None:
    """Write an archive, whole or not at all; the same content gives the same bytes.

    Args:
        path: the file.
        what: the kind of file, for errors.
        description: a table that JSON can hold.
        arrays: by name.
        layout: as for `read_archive`.

    Raises:
        ValueError: path is a directory, the arrays do not fit the layout, or are more than an
            archive can hold.
        OSError: the file cannot be written.
    """
    if path.is_dir():
        raise ValueError(f"path must be a file to write, {path} is a directory")
    try:
        slots = layout(dict(description))
        given = {name: Slot(array.shape, array.dtype.name) for name, array in arrays.items()}
        for name in {**slots, **given}:
            if given.get(name) != slots.get(name):
                raise ValueError(f"{name} must be {slots.get(name)}, got {given.get(name)}")
    except ValueError as error:
        raise ValueError(f"{path} cannot become {what}: {error}") from None
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    num_bytes = text.nbytes + sum(array.nbytes for array in arrays.values())
    most = MAX_BYTES - 2 * MAX_HEADER * MAX_MEMBERS
    if text.nbytes > MAX_DESCRIPTION or len(arrays) >= MAX_MEMBERS or num_bytes > most:
        raise ValueError(
            f"{path} must hold less than {MAX_MEMBERS} arrays, {MAX_DESCRIPTION} bytes of "
            f"description and {most} bytes in all; got {len(arrays)}, {text.nbytes} and {num_bytes}"
        )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in {"description": text, **{name: arrays[name] for name in slots}}.items():
            member = io.BytesIO()
            stored = np.array(array, array.dtype.newbyteorder("<"), order="C")
            np.lib.format.write_array(member, stored, (1, 0), False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
        archive.comment = bytes(DIGEST)
    content = memoryview(file.getvalue())[:-DIGEST]
    with atomic_write(path, durable=True) as partial, partial.open("wb") as output:
        output.write(content)
        output.write(sha256(content).hexdigest().encode())


def read_archive(
    path: Path, what: str, layout: Layout
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read an archive; the memory taken is bounded by the length of the file.

    Args:
        path: the file.
        what: the kind of file that it must be, for errors: "a saved model".
        layout: from the description to the arrays that follow it, in order; may raise a ValueError.

    Returns:
        The description and the arrays.

    Raises:
        ValueError: the file is missing, damaged, of another kind or forged; one line names it and
            the reason.
    """
    try:
        content = read_bytes(path)
        place = len(content) - _END.size - DIGEST
        if content[:4] != b"PK\3\4":
            raise ValueError("it is no npz archive" if content else "it is empty")
        if content[place : place + 4] != b"PK\5\6" or content[-DIGEST - 2 : -DIGEST] != b"@\0":
            raise ValueError("it is cut short, or other bytes follow its end")
        if content[-DIGEST:] != sha256(memoryview(content)[:-DIGEST]).hexdigest().encode():
            raise ValueError("it is damaged: its digest is not that of its content")
        with open_zip(content) as archive:
            return _read(archive, layout)
    except Exception as error:  # a damaged file may raise anything on the way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} must be {what}, but {reason[:400]}") from None


def _read(archive: zipfile.ZipFile, layout: Layout) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    infos, place = archive.infolist(), 0
    for info in infos:
        plain = (info.compress_type, info.flag_bits, info.extra) == (zipfile.ZIP_STORED, 0, b"")
        if not plain or info.header_offset != place or info.compress_size != info.file_size:
            name = ascii(info.filename)[:100]
            raise ValueError(f"its member {name} is not stored as jaxbp stores it")
        place += (
            30 + len(info.filename) + info.file_size
        )  # the member's header, its name, its bytes
    if place != archive.start_dir or infos[0].file_size > MAX_DESCRIPTION + MAX_HEADER:
        raise ValueError("its directory does not fit its members, or its description is too long")
    description = json.loads(bytes(read_npy(archive.read(infos[0]))))
    if not isinstance(description, dict):
        raise ValueError(f"its description is {type(description).__name__}, not a table")
    slots = dict(layout(description))
    names = [info.filename for info in infos]
    if names != (wanted := [f"{name}.npy" for name in ("description", *slots)]):
        wrong = next((name for name in names if name not in wanted), "one missing or twice")
        raise ValueError(f"its members must be {len(wanted)} that it describes, not {wrong!a}")
    arrays = {}
    for info, (name, slot) in zip(infos[1:], slots.items(), strict=True):
        array = read_npy(archive.read(info))
        found, right = (array.shape, array.dtype.str), np.dtype(slot.dtype).newbyteorder("<")
        if found != (slot.shape, right.str) or not array.flags.c_contiguous:
            expected = f"{slot.dtype} {slot.shape}"
            raise ValueError(f"its member {name} should be {expected}, it is {found[1]} {found[0]}")
        arrays[name] = array.astype(slot.dtype)
    return description, arrays


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of at most a gigabyte.

    Raises:
        ValueError: the file is missing, or larger.
    """
    if not path.is_file():
        raise ValueError("it is a directory" if path.is_dir() else "there is no such file")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ValueError(f"it has {size} bytes, more than {MAX_BYTES}")
    return path.read_bytes()


def open_zip(content: bytes) -> zipfile.ZipFile:
    """Open a zip file whose number of members and sum of sizes are bounded, also in zip64.

    Raises:
        ValueError: there are more.
        zipfile.BadZipFile: it is no zip file.
    """
    place = content.rfind(b"PK\5\6")
    if place < 0 or len(content) < place + _END.size:
        raise zipfile.BadZipFile("it is no zip archive")
    count, num_bytes = _END.unpack_from(content, place)[4:6]
    if content[max(0, place - 20) : place].startswith(b"PK\6\7"):
        raise ValueError("it is a zip64 archive, larger than any that is read")
    if count > MAX_MEMBERS or num_bytes > MAX_DIRECTORY:
        raise ValueError(f"it has {count} members, listed in {num_bytes} bytes")
    archive = zipfile.ZipFile(io.BytesIO(content))
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS or (total := sum(info.file_size for info in infos)) > MAX_BYTES:
        raise ValueError(f"it has {len(infos)} members, {total} bytes in all")
    return archive


def read_npy(content: bytes) -> np.ndarray:
    """Return the array of a member, whose bytes must be exactly as many as its header says."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it is not an array of version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=MAX_HEADER)
    start, num_bytes = stream.tell(), math.prod(shape) * dtype.itemsize
    if dtype.hasobject or len(content) - start != num_bytes:
        raise ValueError(f"{dtype} {shape} is no array of {len(content) - start} bytes")
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
