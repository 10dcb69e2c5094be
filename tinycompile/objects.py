"""Object files that an earlier build compiled from the same text with the same command are copied, not made again.

What decides is what `make` would run, the compiler and its C library as files, and the text of the source and of all
that it includes with quotes: generated C includes with angle brackets only what these two bring. Beside an object file
GCC writes stack usage and call graph, which are copied along.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tinycompile.disk_cache import DiskCache, digest
from tinycompile.errors import ToolFailedError
from tinycompile.targets import Toolchain
from tinycompile.toolchain import make, require, run

_CACHE = DiskCache("objects", limit=256 << 20)
_COMPILES = re.compile(r"^(.*) -c (\S+\.c) -o (\S+\.o)$", re.MULTILINE)
_INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include\b[ \t]*(.*)$", re.MULTILINE)
_WRITTEN = (".o", ".su", ".ci")
_ENVIRONMENT = (
    "CPATH",
    "C_INCLUDE_PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "SOURCE_DATE_EPOCH",
    "DEPENDENCIES_OUTPUT",
)
"""Variables that change what GCC does with the same command."""


def make_objects(folder: Path, toolchain: Toolchain) -> None:
    """`make objects` in a generated project.

    Raises:
        ToolMissingError, ToolFailedError: as `make`.
    """
    keys = _keys(folder, toolchain) if _CACHE.folder is not None else {}
    missing = {path: key for path, key in keys.items() if not _restored(path, key)}
    make(folder, "objects", toolchain=toolchain)
    for path, key in missing.items():
        _CACHE.put(key, _packed(path))


def _keys(folder: Path, toolchain: Toolchain) -> dict[Path, str]:
    """Of each object file that `make` would compile; none of those of which not all is known that they follow from."""
    require(toolchain.tool("compiler"), toolchain)
    dry = run([require("make"), "--no-print-directory", "-n", "objects"], cwd=folder, env={"LC_ALL": "C"})
    variables = "".join(f"{name}={os.environ.get(name)}\n" for name in _ENVIRONMENT).encode()
    found = dict[Path, str]()
    for command, source, out in _COMPILES.findall(dry):
        compiler, *_ = shlex.split(command)
        identity, texts = compiler_identity(compiler, shlex.split(command)[1:]), _texts(folder / source)
        if identity is not None and texts is not None:
            about = f"{command} {source} {out}\n{identity}\n".encode()
            found[folder / out] = digest(about, variables, *texts)
    return found


def compiler_identity(compiler: str, words: Sequence[str]) -> str | None:
    """What tells a compiler and the C library of its flags, among these words, from others that had the same names."""
    path = shutil.which(compiler)
    if path is None:
        return None
    flags = [flag for flag in words if flag.startswith("-m")]
    try:
        library = _file_of(path, *flags)
        return " ".join(_stamp(Path(file)) for file in (path, library))
    except (OSError, ToolFailedError):
        return None


@cache
def _file_of(compiler: str, *flags: str) -> str:
    return run([compiler, *flags, "-print-file-name=libc.a"], cwd=Path.cwd()).strip()


def _stamp(path: Path) -> str:
    path = path.resolve(strict=True)
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _texts(source: Path) -> list[bytes] | None:
    """Name and text of a source and of all that it includes, itself or through others; None where one isn't found."""
    found, pending = dict[Path, bytes](), [source]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found[path] = path.read_bytes()
        for what in _INCLUDE.findall(found[path]):
            if what.startswith(b"<"):
                continue
            included = Path(os.path.normpath(path.parent / what.split(b'"')[1].decode())) if what[:1] == b'"' else path
            if included == path or not included.is_file():
                return None
            pending.append(included)
    return [part for path, text in sorted(found.items()) for part in (path.name.encode(), text)]


def _packed(path: Path) -> bytes:
    """A line that says which files there are and how long they are, then the files."""
    files = {end: path.with_suffix(end) for end in _WRITTEN}
    contents = {end: file.read_bytes() for end, file in files.items() if file.is_file()}
    head = json.dumps({end: len(content) for end, content in contents.items()})
    return head.encode() + b"\n" + b"".join(contents.values())


def _restored(path: Path, key: str) -> bool:
    """Whether an object file was kept, which is where `make` looks for it then, younger than its source."""
    content = _CACHE.get(key)
    if content is None:
        return False
    head, files = content.split(b"\n", 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = 0
    for end, size in json.loads(head).items():
        path.with_suffix(end).write_bytes(files[begin : begin + size])
        begin += size
    return True
