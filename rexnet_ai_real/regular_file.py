"""Open ordinary files only: a named pipe or a file of the kernel's can make its reader wait for ever."""

import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

_SYSTEM: Final = {
    *("proc", "sysfs", "devtmpfs", "devpts", "debugfs", "tracefs", "securityfs", "configfs", "cgroup", "cgroup2"),
    *("pstore", "efivarfs", "bpf", "mqueue", "binfmt_misc", "fusectl"),
}
"""File systems in which the kernel answers each read itself."""


class NotRegular(Exception):
    """Not a file on an ordinary file system. `str()` says what it is, in a few words."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, following links.

    Raises:
        NotRegular: a folder, a device, a pipe, a socket, or a file of the kernel's, such as those in /proc.
        OSError: it cannot be opened.
    """
    check_regular(path.stat())  # before it is opened: merely to open some devices does something
    # Should it become a pipe meanwhile, O_NONBLOCK keeps from waiting for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        check_regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def check_regular(status: os.stat_result) -> None:
    """Refuse everything but a file on an ordinary file system.

    Raises:
        NotRegular: says what it is instead.
    """
    if stat.S_ISDIR(status.st_mode):
        raise NotRegular("a folder")
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular("not a regular file")
    if status.st_dev in _system_devices():
        raise NotRegular("a file of the operating system's own")


@lru_cache(maxsize=1)
def _system_devices() -> frozenset[int]:
    """Device numbers of the mounted system file systems; none where the system is not Linux."""
    found = set()
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            for line in mounts:  # "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw" (man 5 proc)
                before, _, after = line.partition(" - ")
                if after.split(" ")[0] in _SYSTEM:
                    major, minor = before.split(" ")[2].split(":")
                    found.add(os.makedev(int(major), int(minor)))
    except (OSError, ValueError, IndexError):
        pass
    return frozenset(found)
