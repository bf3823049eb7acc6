"""Archives: content comes back bit for bit, damaged and forged files are refused in one line."""

import hashlib
import io
import json
import pickle
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxbp import _archive
from jaxbp._archive import Slot, read_archive, write_archive

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "weight": GENERATOR.normal(size=(2, 5)),
    "bias": GENERATOR.normal(size=5).astype(np.float32),
    "count": np.array(7, np.int64),
    "mask": np.array([[True], [False]]),
    "empty": np.zeros((0, 3)),
}
DESCRIPTION = {"arrays": [[name, list(a.shape), a.dtype.name] for name, a in ARRAYS.items()]}


def layout(description):
    return {name: Slot(tuple(shape), dtype) for name, shape, dtype in description["arrays"]}


def write(path, description=DESCRIPTION, arrays=ARRAYS):
    write_archive(path, "a file", description, arrays, layout)
    return path


def read(path):
    return read_archive(path, "a file", layout)


@pytest.fixture
def saved(tmp_path):
    return write(tmp_path / "some.npz")


def refused(path, *patterns):
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} must be a file, but ")
    assert "\n" not in message
    assert len(message) < 700
    for pattern in patterns:
        assert re.search(pattern, message), message


def same(description, arrays):
    return description == DESCRIPTION and all(
        arrays[name].dtype == array.dtype
        and arrays[name].shape == array.shape
        and arrays[name].tobytes() == array.tobytes()
        for name, array in ARRAYS.items()
    )


def test_content_comes_back_and_equal_content_gives_equal_bytes(saved):
    assert same(*read(saved))
    assert write(saved.with_name("again")).read_bytes() == saved.read_bytes()
    with np.load(saved, allow_pickle=False) as archive:  # any reader of npz can read it
        np.testing.assert_array_equal(archive["weight"], ARRAYS["weight"])
        assert json.loads(archive["description"].tobytes()) == DESCRIPTION


def test_other_files_are_named_for_what_they_are(tmp_path):
    refused(tmp_path / "none.npz", "no such file")
    refused(tmp_path, "directory")
    for content, pattern in (
        (b"", "empty"),
        (b"x,y\n1,2\n", "no npz"),
        (pickle.dumps(3), "no npz"),
    ):
        (tmp_path / "other").write_bytes(content)
        refused(tmp_path / "other", pattern)
    np.savez(tmp_path / "numpy.npz", **ARRAYS)
    refused(tmp_path / "numpy.npz", "cut short, or other bytes follow")


def test_cut_short_anywhere(saved):
    content = saved.read_bytes()
    for size in np.unique(GENERATOR.integers(1, len(content), 300)):
        saved.write_bytes(content[:size])
        refused(saved)


def test_every_flipped_bit_is_refused(saved):
    content = saved.read_bytes()
    for place in GENERATOR.integers(0, 8 * len(content), 2000):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        saved.write_bytes(flipped)
        refused(saved)


@pytest.mark.parametrize("tail", [b"\0", b"PK\5\6", b"x" * 100_000])
def test_bytes_around_the_archive(saved, tail):
    content = saved.read_bytes()
    saved.write_bytes(content + tail)
    refused(saved, "other bytes follow its end")
    saved.write_bytes(b"#!/bin/sh\n" + content)
    refused(saved, "no npz archive")


# Forged files: their digest is right.


def seal(content):
    """The archive with a right digest at its end; what stood there as a comment is dropped."""
    content = content[: content.rindex(b"PK\5\6") + 20] + struct.pack("<H", 64)
    return content + hashlib.sha256(content).hexdigest().encode()


def write_members(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    path.write_bytes(seal(path.read_bytes()))


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def npy(array, **header):
    fields = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | header
    text = repr(fields).replace("}", ", }")
    text = (text + " " * (-(len(text) + 11) % 64) + "\n").encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + array.tobytes()


def test_the_forged_files_are_right_but_for_what_is_wrong(saved):
    write_members(saved, members_of(saved).items())
    assert same(*read(saved))


def test_members_that_should_not_be_there(saved):
    members = list(members_of(saved).items())
    for wrong, pattern in (
        ([*members, ("extra.npy", b"1")], "not 'extra.npy'"),
        ([*members, ("../../outside.npy", b"1")], "outside"),
        ([*members[:-1], ("/etc/passwd", b"1")], "not '/etc/passwd'"),
        (members[:-1], "missing"),
        ([members[0], *reversed(members[1:])], "missing or twice"),
        (members[1:], ""),
        ([], "no npz archive"),
    ):
        write_members(saved, wrong)
        refused(saved, pattern)
    with pytest.warns(UserWarning, match="Duplicate"):
        write_members(saved, [*members, members[-1]])
    refused(saved, "missing or twice")


def test_compressed_encrypted_and_moved_members(saved):
    members = members_of(saved)
    write_members(saved, members.items(), zipfile.ZIP_DEFLATED)
    refused(saved, "not stored as jaxbp stores it")
    write_members(saved, members.items())
    right = saved.read_bytes()
    # In the directory: a flag of encryption, another method, another size, extra fields, a place.
    for place, value in ((8, 1), (10, zipfile.ZIP_DEFLATED), (20, 1), (42, 1)):
        content = bytearray(right)
        content[content.rindex(b"PK\1\2") + place] ^= value
        saved.write_bytes(seal(bytes(content)))
        refused(saved)
    first = right.index(b"PK\1\2")
    gap = bytearray(right[:first] + b"hidden" + right[first:])
    end = gap.rindex(b"PK\5\6") + 16
    gap[end : end + 4] = struct.pack("<L", first + 6)
    saved.write_bytes(seal(bytes(gap)))
    refused(saved, "does not fit its members")


@pytest.mark.parametrize(
    "content",
    [
        npy(np.zeros((2, 5)), shape=(100_000, 100_000)),
        npy(np.zeros((2, 5), np.float32)),
        npy(np.zeros((2, 5))) + b"12345678",
        npy(np.zeros((2, 5)), fortran_order=True),
        npy(np.zeros((2, 5), ">f8")),
        npy(np.zeros((2, 5)), descr="|O"),
        npy(np.zeros((2, 5)), descr="|V8"),
        npy(np.zeros((2, 5)), shape=(-2, -5)),
        npy(np.zeros((2, 5)), shape=(2.0, 5)),
        npy(np.zeros((2, 5))).replace(b"{", b"[[["),
        npy(np.zeros((2, 5))).replace(b"\x93NUMPY\1", b"\x93NUMPY\2"),
        b"\x80\x05K\x01.",
        b"\x93NUMPY\1\0\xff\xff" + b"[" * 65_535,
    ],
)
def test_arrays_that_are_not_what_the_description_says(saved, content):
    write_members(saved, (members_of(saved) | {"weight.npy": content}).items())
    refused(saved)


def test_nothing_pickled_is_run(saved, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    content = npy(np.zeros((2, 5)), descr="|O") + pickle.dumps(Harm())
    write_members(saved, (members_of(saved) | {"weight.npy": content}).items())
    refused(saved)
    np.savez(saved, description=np.array([Harm()], object))
    saved.write_bytes(seal(saved.read_bytes()))
    refused(saved)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b"nothing",
        b"\xff",
        b"[1]",
        b"1" * 5000,
        b" " * (2**20 + 1),
        b"{}",
        b'{"arrays": 3}',
    ],
)
def test_descriptions_that_are_none(saved, text):
    content = npy(np.frombuffer(text, np.uint8))
    write_members(saved, (members_of(saved) | {"description.npy": content}).items())
    refused(saved)


def test_a_directory_of_a_million_members_is_not_read(saved):
    """In the plain record at the end, and in those of zip64, which take its place."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *[0] * 7, 1, *[0] * 6) + b"x"
    directory = entry * 1_000_000
    body = b"PK\3\4" + bytes(27)
    count, length = 1_000_000, len(directory)
    zip64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, len(body))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body) + length, 1)
    small = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 47, len(body), 0)
    plain = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65_535, 65_535, length, len(body), 0)
    for content in (body + directory + zip64 + locator + small, body + directory + plain):
        saved.write_bytes(seal(content))
        assert zipfile.is_zipfile(saved)
        tracemalloc.start()
        refused(saved, "zip64|it has 65535 members")
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content)
        tracemalloc.stop()


def test_a_small_archive_of_large_members_is_not_opened():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "ab":
            archive.writestr(name, bytes(2**20))
    content = bytearray(buffer.getvalue())
    assert len(_archive.open_zip(bytes(content)).infolist()) == 2
    for place in (found.start() for found in re.finditer(b"PK\1\2", content)):
        content[place + 24 : place + 28] = struct.pack("<L", 2**29 + 1)  # its size, it says
    with pytest.raises(ValueError, match="it has 2 members, 1073741826 bytes"):
        _archive.open_zip(bytes(content))


def test_as_many_members_are_read_as_are_written_and_no_more(tmp_path, monkeypatch):
    def some(names):
        arrays = {name: np.arange(2, dtype=np.int32) for name in names}
        return {"arrays": [[name, [2], "int32"] for name in names]}, arrays

    path = tmp_path / "some.npz"
    monkeypatch.setattr(_archive, "MAX_MEMBERS", 3)
    write(path, *some("ab"))
    np.testing.assert_array_equal(read(path)[1]["b"], [0, 1])
    with pytest.raises(ValueError, match="less than 3 arrays"):
        write(path, *some("abc"))
    monkeypatch.undo()
    write(path, *some("abc"))
    monkeypatch.setattr(_archive, "MAX_MEMBERS", 3)
    refused(path, "it has 4 members")


def test_too_large_a_file_is_neither_read_nor_written(saved, monkeypatch):
    num_bytes = len(json.dumps(DESCRIPTION)) + sum(array.nbytes for array in ARRAYS.values())
    monkeypatch.setattr(_archive, "MAX_BYTES", saved.stat().st_size)
    assert same(*read(saved))
    monkeypatch.setattr(_archive, "MAX_BYTES", saved.stat().st_size - 1)
    refused(saved, "more than")
    overhead = 2 * _archive.MAX_HEADER * _archive.MAX_MEMBERS
    monkeypatch.setattr(_archive, "MAX_BYTES", overhead + num_bytes)
    write(saved.with_name("fits"))
    monkeypatch.setattr(_archive, "MAX_BYTES", overhead + num_bytes - 1)
    with pytest.raises(ValueError, match=rf"and {num_bytes - 1} bytes in all; got 5, "):
        write(saved.with_name("other"))
    monkeypatch.setattr(_archive, "MAX_DESCRIPTION", 10)
    with pytest.raises(ValueError, match="10 bytes of description"):
        write(saved.with_name("other"))
    assert not saved.with_name("other").exists()


def test_arrays_that_do_not_fit_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"path must be a file to write, .* is a directory"):
        write(tmp_path)
    for change in ({"weight": np.zeros((5, 2))}, {"bias": np.zeros(5)}, {"more": np.zeros(1)}):
        (name,) = change
        with pytest.raises(ValueError, match=f"cannot become a file: {name} must be "):
            write(tmp_path / "other", arrays=ARRAYS | change)
    assert not list(tmp_path.iterdir())
