"""What outlives a command in the user's cache folder: results that take long to find and are soon read again.

A cache is only ever a shorter way to the same bytes: a key says all that a result follows from, a damaged entry is
none, and a folder that can't be written keeps nothing. TINYCOMPILE_CACHE=off does without.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinycompile.version import __version__

SWITCH = "TINYCOMPILE_CACHE"

_DIGEST_BYTES = 32
_BUCKETS = 16
_PUTS_UNTIL_TIDY = 32


def digest(*parts: bytes) -> str:
    """A key: of these parts in this order, each told apart from the next. At least two hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def cache_folder() -> Path:
    """Ours among the user's caches, which need not exist. Raises RuntimeError where there is no home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinycompile"


@dataclass(frozen=True)
class DiskCache:
    """Results of one kind.

    Attributes:
        kind: the name of its folder; the version of tinycompile becomes part of it.
        limit: bytes that it may hold, roughly; what was not read for longest goes first.
    """

    kind: str
    limit: int

    @property
    def folder(self) -> Path | None:
        """Where it is; None where there is to be none."""
        if os.environ.get(SWITCH) == "off":
            return None
        try:
            return cache_folder() / f"{self.kind}-{__version__}"
        except RuntimeError:  # nobody's process: there is no home
            return None

    def get(self, key: str) -> bytes | None:
        """What was put there under a `digest`; None if nothing was, or not all of it is there."""
        path = self._path(key)
        if path is None:
            return None
        try:
            stored = path.read_bytes()
        except OSError:
            return None
        content = stored[_DIGEST_BYTES:]
        with suppress(OSError):
            if stored[:_DIGEST_BYTES] != _seal(key, content):
                path.unlink()
                return None
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep it, whole or not at all."""
        path = self._path(key)
        if path is None:
            return
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_seal(key, content) + content)
                os.replace(name, path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            if int(key[-2:], 16) % _PUTS_UNTIL_TIDY == 0:
                _tidy(path.parent, self.limit // _BUCKETS)

    def _path(self, key: str) -> Path | None:
        folder = self.folder
        return None if folder is None else folder / key[0] / key


def _seal(key: str, content: bytes) -> bytes:
    """What an entry begins with, so that half of one, or another's, is known."""
    return hashlib.sha256(key.encode() + content).digest()


def _tidy(bucket: Path, limit: int) -> None:
    """Remove what was read longest ago until the rest has no more than `limit` bytes."""
    entries = [(path.stat(), path) for path in bucket.iterdir()]
    total = 0
    for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime, reverse=True):
        total += status.st_size
        if total > limit:
            path.unlink()
