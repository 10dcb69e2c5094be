"""Where the files beside the Python code are: in a wheel under `tinycompile/_data/`, in a checkout at its top."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _folder(name: str) -> Path:
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def templates_dir() -> Path:
    return _folder("templates") / "c"


def apps_dir() -> Path:
    return _folder("templates") / "app"


def examples_dir() -> Path:
    """The examples' models and samples that applications come with; a wheel has no others."""
    return _folder("examples")


def html_dir() -> Path:
    return _folder("templates") / "html"


def runtime_dir() -> Path:
    return _folder("runtime")


def boards_dir() -> Path:
    return _folder("board_support")
