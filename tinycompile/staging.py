"""Output appears whole or not at all, and what belongs to the user stays as it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tinycompile.errors import UsageError
from tinycompile.manifest import MANIFEST, MARKER, Manifest, entries

__all__ = ["MARKER", "check_output", "may_write", "staged", "write_files"]

NAMED = 10
"""Most files that a message names."""


@contextmanager
def staged(output: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary folder beside `output` that replaces it when the block ends without an error.

    What `output` holds beside the files of an earlier build (`Manifest`) moves along.

    Args:
        force: files of an earlier build that were edited are replaced, and a folder that no build made is taken.

    Raises:
        UsageError: `output` is a file, the current folder, or has files which this would overwrite; or it can't be
            written: no permission, no room. It is then as it was before.
    """
    output = check_output(output, force=force)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise UsageError("the output folder can't be created", where=str(output), why=_reason(error)) from error
    try:
        staging.chmod(0o755)
        yield staging
        Manifest.of(staging).write(staging)
        if output.is_dir():
            _check_files(output, force=force)
            _take_along(output, staging)
        _replace(staging, output)
    except OSError as error:
        raise UsageError("the output folder can't be written", where=str(output), why=_reason(error)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_output(output: Path, *, force: bool = False) -> Path:
    """The folder that `staged` would replace: a link to a folder stays one, `.` has a name. Raises UsageError."""
    output = Path(os.path.realpath(output))
    _check_place(output)
    _check_files(output, force=force)
    return output


def _check_place(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError("the output is a file, not a folder", where=str(output), hint="give -o a new folder")
    current = Path.cwd()
    if output == current or output in current.parents:
        raise UsageError(
            "the output folder is the current folder, or around it",
            where=str(output),
            why="it is replaced as a whole, which would leave you in a folder that is gone",
            hint="give -o a folder inside the current one, such as -o out, or start from outside",
        )


def _check_files(output: Path, *, force: bool) -> None:
    """Raises UsageError where a build would overwrite what the user made or changed."""
    if force or not output.is_dir():
        return
    manifest = Manifest.read(output)
    if manifest is None:
        found = list(entries(output))
        if found:
            raise UsageError(
                "the output folder has files that no tinycompile build made",
                where=str(output),
                why=f"it has no {MANIFEST}, but {_listed(found)}",
                hint="give -o another folder; --force adds to this one and keeps what is there",
            )
        return
    edited = manifest.edited(output)
    if edited:
        raise UsageError(
            "files in the output folder were changed since they were generated",
            where=str(output),
            why=_listed(edited),
            hint="keep your changes under other names, or give -o another folder; --force overwrites them",
        )


def _take_along(output: Path, staging: Path) -> None:
    """Put what is the user's into the new folder, too.

    Raises:
        UsageError: a new file has the name of one of the user's.
    """
    before, after = Manifest.read(output), Manifest.of(staging)
    edited = set[str]() if before is None else {path for path in before.edited(output) if not after.owns(path)}
    theirs = [path for path in entries(output) if before is None or not before.owns(path) or path in edited]
    taken = [path for path in theirs if _is_taken(staging, path) or after.owns(path)]
    if taken:
        raise UsageError(
            "the build would overwrite files of yours",
            where=str(output),
            why=_listed(taken),
            hint="move them, or give -o another folder",
        )
    for path in theirs:
        _link(output, staging, path)
    for at, folders, _ in os.walk(output):
        for name in folders:
            path = Path(at, name)
            if not path.is_symlink() and not any(path.iterdir()):
                (staging / path.relative_to(output)).mkdir(parents=True, exist_ok=True)


def _is_taken(staging: Path, path: str) -> bool:
    """Whether a file of ours, or a folder, is where a user's file or one of its folders is."""
    target = staging / path
    return os.path.lexists(target) or any((staging / parent).is_file() for parent in Path(path).parents)


def _link(output: Path, staging: Path, path: str) -> None:
    """The same file under a second name, which stays when the old folder goes; a copy where that can't be."""
    source, target = output / path, staging / path
    for parent in reversed(Path(path).parents):
        if not (staging / parent).exists():
            (staging / parent).mkdir()
            shutil.copystat(output / parent, staging / parent)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without such links
        shutil.copy2(source, target, follow_symlinks=False)


def _reason(error: OSError) -> str:
    """In words, without the name of a temporary file."""
    return (error.strerror or str(error)).lower()


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(paths[:NAMED]) + more


def _replace(staging: Path, output: Path) -> None:
    if not output.exists():
        staging.rename(output)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{output.name}.old.", dir=output.parent))
    previous = old / "previous"
    try:
        output.rename(previous)
        staging.rename(output)
    finally:
        if previous.exists() and not output.exists():  # an error or Ctrl-C between the two
            previous.rename(output)
        shutil.rmtree(old, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files given by relative path."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)


@contextmanager
def may_write(
    path: Path, is_ours: Callable[[Path], bool], *, read: Iterable[Path] = (), force: bool = False
) -> Iterator[Path]:
    """A temporary path near the single file that a command writes; it gets its name when the block ends.

    Folders of `path` that are missing are made then, as `staged` does.

    Args:
        is_ours: whether a file that is there was written by this command; a damaged one may make it raise anything.
        read: files that the command reads, which it never overwrites.
        force: whether a file of the user's is overwritten.

    Raises:
        UsageError: a file of the user's is there, or the file can't be written.
    """
    if any(path.exists() and other.exists() and path.samefile(other) for other in read):
        raise UsageError("the output is a file that this command reads", where=str(path), hint="choose another name")
    if path.is_dir():
        raise UsageError("the output is a folder, not a file", where=str(path))
    if path.exists() and not force and not _made_by_us(path, is_ours):
        raise UsageError(
            "there is a file already which this command didn't write",
            where=str(path),
            hint="choose another name; --force overwrites it",
        )
    target = Path(os.path.realpath(path))
    there = next(parent for parent in target.parents if parent.exists())
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=there))
        try:
            yield folder / target.name
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / target.name).replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise UsageError("the file can't be written", where=str(path), why=_reason(error)) from error


def _made_by_us(path: Path, is_ours: Callable[[Path], bool]) -> bool:
    try:
        return is_ours(path)
    except Exception:
        return False
