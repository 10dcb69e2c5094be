"""Output folders appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tinycompile.errors import UsageError

MARKER = "report.json"
"""The file by which an output folder of ours is recognised."""


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that replaces it when the block ends without an error.

    Raises:
        UsageError: `output` is a file, or a folder with something else in it, or can't be written: no permission,
            no room. It is then as it was before.
    """
    if Path.cwd().is_relative_to(output.resolve()):
        raise UsageError(
            "the output folder can't be the one you are in",
            where=str(output),
            why="a build replaces its folder as a whole, and you would be left in the old one",
            hint=f"give a folder in it: -o {output / 'out'}",
        )
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / MARKER).exists()):
        raise UsageError(
            "refusing to replace what isn't a tinycompile build",
            where=str(output),
            hint="give -o a new or empty folder, or one that an earlier build made",
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise UsageError("the output folder can't be created", where=str(output), why=str(error)) from error
    try:
        staging.chmod(0o755)
        yield staging
        _replace(staging, output)
    except OSError as error:
        raise UsageError("the output folder can't be written", where=str(output), why=str(error)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace(staging: Path, output: Path) -> None:
    if not output.exists():
        staging.rename(output)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{output.name}.old.", dir=output.parent))
    output.rename(old / "previous")
    try:
        staging.rename(output)
    except OSError:
        (old / "previous").rename(output)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files given by relative path."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
