"""Temporary folders that don't stay where a process was killed: the next one to make any removes them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path

_PREFIX, _SUFFIX = "tinycompile-", ".locked"


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A `tempfile.TemporaryDirectory` that its process holds a lock of, so that others can tell it from what is left.

    Attributes:
        name: its path, `tinycompile-KIND-...` in the system's folder for temporary files.
    """

    def __init__(self, kind: str = "work") -> None:
        _remove_abandoned()
        super().__init__(prefix=f"{_PREFIX}{kind}-", suffix=_SUFFIX)
        while (lock := _locked(Path(self.name))) is None:  # another process took it for abandoned
            super().__init__(prefix=f"{_PREFIX}{kind}-", suffix=_SUFFIX)
        self._unlock = weakref.finalize(self, os.close, lock)

    def cleanup(self) -> None:
        super().cleanup()
        self._unlock()


@cache
def _remove_abandoned() -> None:
    """Once in a process: folders of this user's that nobody holds."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as found:
        for each in found:
            if each.name.startswith(_PREFIX) and each.name.endswith(_SUFFIX) and _is_own(each):
                lock = _locked(Path(each.path), wait=False)
                if lock is not None:
                    shutil.rmtree(each.path, ignore_errors=True)
                    os.close(lock)


def _is_own(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    return False


def _locked(folder: Path, *, wait: bool = True) -> int | None:
    """A descriptor that holds the lock of a folder; None where that is gone, or, without waiting, another one's."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            return lock
    os.close(lock)
    return None
