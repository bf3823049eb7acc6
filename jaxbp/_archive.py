"""Files of arrays with a description: npz archives, checked before they are believed.

An archive is an uncompressed zip file. Its first member is `description`, JSON text as bytes; every
other member is an array, whose shape and dtype follow from the description.
"""

import io
import json
import math
import os
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxbp._files import atomic_write

DESCRIPTION = "description"
MAX_BYTES = 2**30  # of an archive
MAX_DESCRIPTION = 2**20  # bytes
MAX_MEMBERS = 10_000
MAX_HEADER = 1024  # bytes of a member, before its numbers
MAX_DIRECTORY = 2**22  # bytes
_MAGIC = b"\x93NUMPY\1\0"  # of version 1.0 of the npy format
_HEADER = re.compile(
    r"\{'descr': '(<f4|<f8|<i4|<i8|<u4|\|u1|\|b1)', 'fortran_order': False, 'shape': \(([0-9, ]{0,99})\), \} *\n"
)
_END = struct.Struct(
    "<4s4H2LH"
)  # of a zip file: signature, disks, counts, size and place of the directory, comment
_LOCAL = 30  # bytes of a member's zip header before its name

# What reading a damaged file may raise on the way; the reader says it in one line.
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    OverflowError,
    MemoryError,
)


class Slot(NamedTuple):
    """What an array of an archive must be.

    Attributes:
        shape: of the array.
        dtype: float32, float64, int32, int64, uint32, uint8 or bool; little-endian in the file.
    """

    shape: tuple[int, ...]
    dtype: str


Layout = Callable[[dict[str, Any]], Mapping[str, Slot]]


class _Member(NamedTuple):
    info: zipfile.ZipInfo
    slot: Slot
    start: int


def write_archive(
    path: Path,
    what: str,
    description: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    layout: Layout,
) -> None:
    """Writes an archive, whole or not at all; the same content gives the same bytes.

    Args:
        path: the file.
        what: what it will be, for errors.
        description: what JSON can hold.
        arrays: by name.
        layout: as for `read_archive`, so that nothing is written that could not be read.

    Raises:
        ValueError: path is a directory, the arrays do not fit the layout, or are more than an
            archive can hold.
        OSError: the file cannot be written.
    """
    if path.is_dir():
        raise ValueError(f"path must be a file to write, {path} is a directory")
    try:
        slots = layout(dict(description))
    except ValueError as error:
        raise ValueError(f"{path} cannot become {what}: {error}") from None
    came = {name: Slot(array.shape, array.dtype.name) for name, array in arrays.items()}
    for name in {**slots, **came}:
        if came.get(name) != slots.get(name):
            raise ValueError(
                f"{path} cannot become {what}: {name} must be {slots.get(name)}, got {came.get(name)}"
            )
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    num_bytes = text.nbytes + sum(array.nbytes for array in arrays.values())
    most = MAX_BYTES - 2 * MAX_HEADER * MAX_MEMBERS
    if text.nbytes > MAX_DESCRIPTION or len(arrays) >= MAX_MEMBERS or num_bytes > most:
        limits = f"less than {MAX_MEMBERS} arrays, {MAX_DESCRIPTION} bytes of description and {most} bytes in all"
        raise ValueError(
            f"{path} must hold {limits}; got {len(arrays)}, {text.nbytes} and {num_bytes}"
        )
    with (
        atomic_write(path, durable=True) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in {DESCRIPTION: text, **{name: arrays[name] for name in slots}}.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(
                buffer, np.array(array, _stored(array.dtype), order="C"), (1, 0), False
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())


def read_archive(
    path: Path, what: str, layout: Layout
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads an archive; no array is read, nor memory taken for it, before all of them are known to
    fit the layout.

    Args:
        path: the file.
        what: what it must be, for errors: "a saved model".
        layout: makes of the description what the arrays must be, in order; raises a ValueError
            where it cannot.

    Returns:
        The description and the arrays.

    Raises:
        ValueError: the file is missing, damaged, of another kind or made to harm; one line names it
            and says why.
    """
    try:
        if not path.is_file():
            raise ValueError("it is a directory" if path.is_dir() else "there is no such file")
        with path.open("rb") as file:
            _check_ends(file)
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
                _check_directory(infos, archive.start_dir)
                description = json.loads(bytes(_numbers(archive, _member(archive, infos[0], None))))
                if not isinstance(description, dict):
                    raise ValueError(
                        f"its description is {type(description).__name__}, not a table"
                    )
                slots = layout(description)
                _check_names(
                    [info.filename for info in infos],
                    [f"{name}.npy" for name in (DESCRIPTION, *slots)],
                )
                members = [
                    _member(archive, *pair) for pair in zip(infos[1:], slots.values(), strict=True)
                ]
                arrays = [_numbers(archive, member) for member in members]
        return description, dict(zip(slots, arrays, strict=True))
    except (*_DAMAGE, zipfile.BadZipFile, struct.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} must be {what}, but {reason[:400]}") from None


def _check_ends(file: BinaryIO) -> None:
    """Checks that a file is a zip archive from its first byte to its last, from the record at its end alone."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise ValueError("it is empty")
    if size > MAX_BYTES:
        raise ValueError(f"it has {size} bytes, more than {MAX_BYTES}")
    if file.read(4) != b"PK\3\4":
        raise ValueError("it is no npz archive")
    file.seek(max(0, size - _END.size))
    signature, *_, count, num_bytes, start, comment = _END.unpack(file.read().ljust(_END.size))
    if signature != b"PK\5\6" or comment or start + num_bytes + _END.size != size:
        raise ValueError("it is cut short, or other bytes follow its end")
    if count > MAX_MEMBERS or num_bytes > MAX_DIRECTORY:
        raise ValueError(f"it has {count} members, listed in {num_bytes} bytes")


def _check_directory(infos: list[zipfile.ZipInfo], start_dir: int) -> None:
    """Checks that the members lie one after the other, uncompressed, and fill the file up to its directory."""
    place = 0
    for info in infos:
        plain = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not plain or info.flag_bits or info.extra or info.header_offset != place:
            raise ValueError(
                f"its member {ascii(info.filename)[:100]} is not stored as jaxbp stores it"
            )
        place += _LOCAL + len(info.orig_filename.encode()) + info.file_size
    if not infos or place != start_dir:
        raise ValueError("its directory does not fit its members")


def _check_names(names: list[str], wanted: list[str]) -> None:
    for position, (name, right) in enumerate(zip_longest(names, wanted), start=1):
        if name != right:
            came = "missing" if name is None else ascii(name)[:100]
            raise ValueError(
                f"its member {position} of {len(wanted)} must be {right or 'none'}, it is {came}"
            )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, slot: Slot | None) -> _Member:
    """Reads a member's header; checks it, and the size, against what it must be (None for the description)."""
    with archive.open(info) as stream:
        head = stream.read(MAX_HEADER)
    start = len(_MAGIC) + 2 + int.from_bytes(head[len(_MAGIC) : len(_MAGIC) + 2], "little")
    text = head[len(_MAGIC) + 2 : start].decode("ascii", "replace")
    match = _HEADER.fullmatch(text)
    if not head.startswith(_MAGIC) or len(head) < start or match is None:
        raise ValueError(
            f"its member {info.filename} is not an array that jaxbp stores, but {text[:100].strip()!r}"
        )
    dtype, shape = match[1], tuple(map(int, re.findall("[0-9]+", match[2])))
    num_bytes = np.dtype(dtype).itemsize * math.prod(
        shape
    )  # Python's own numbers, which cannot overflow
    slot = slot or Slot((min(num_bytes, MAX_DESCRIPTION),), "uint8")
    if (shape, dtype) != (slot.shape, _stored(slot.dtype).str):
        raise ValueError(
            f"its member {info.filename} should be {slot.dtype} {slot.shape}, it says {np.dtype(dtype)} {shape}"
        )
    if (there := info.file_size - start) != num_bytes:
        raise ValueError(
            f"its member {info.filename} should have {num_bytes} bytes of numbers, it has {there}"
        )
    return _Member(info, slot, start)


def _numbers(archive: zipfile.ZipFile, member: _Member) -> np.ndarray:
    """Reads a member to its end, where zipfile compares the checksum."""
    content = archive.read(member.info)
    numbers = np.frombuffer(content, _stored(member.slot.dtype), offset=member.start).reshape(
        member.slot.shape
    )
    return numbers.astype(member.slot.dtype)


def _stored(dtype: Any) -> np.dtype:
    return np.dtype(dtype).newbyteorder("<")
