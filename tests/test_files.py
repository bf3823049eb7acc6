"""Files are written whole or not at all, and devices, links and permissions stay what they are."""

import os
import stat
import sys
import threading

import pytest

from jaxbp._files import as_path, atomic_write, check_output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and modes of POSIX")


def write(path, text="new"):
    with atomic_write(path) as partial:
        partial.write_text(text)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_device_stays_a_device(tmp_path):
    before = os.stat(os.devnull)
    write(as_path(os.devnull))
    assert os.stat(os.devnull).st_rdev == before.st_rdev
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            write(as_path("/dev/full"), "x" * 10_000)


def test_a_fifo_gets_the_content(tmp_path):
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write(fifo)
    reader.join(timeout=10)
    assert read == ["new"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "link", "real"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_follows_the_umask_and_an_old_one_keeps_its_mode(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "new")
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o604)
        write(tmp_path / "old")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new") == 0o666 & ~mask
    assert mode_of(tmp_path / "old") == 0o604


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    write(tmp_path / "file", "old")

    def fail_half_way():
        with atomic_write(tmp_path / "file") as partial:
            partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="loop"):
        write(tmp_path / "loop" / "file")


def test_an_output_is_checked_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "table").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "table")
    for path in (tmp_path / "table", tmp_path / "hard", tmp_path / "." / "table"):
        with pytest.raises(ValueError, match="out must be another file than the input"):
            check_output(path, tmp_path / "table")
    for path in ("/", tmp_path, tmp_path / "table" / "below"):
        with pytest.raises(ValueError, match="out must be a file that can be written, got"):
            check_output(path)
    with pytest.raises(ValueError, match="home folder that exists"):
        check_output("~nosuchuser/x")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_output("~/new folder/x", tmp_path / "none") == tmp_path / "new folder" / "x"
