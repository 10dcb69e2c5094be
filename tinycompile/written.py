"""Marks in the single files that commands write, by which they know them again before they overwrite one."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

OVERWRITE = "Overwrite a file that this command didn't write."
MARK = "written by tinycompile"
ONNX = ".onnx"
TFLITE = ".tflite"


def mark_archive(path: Path) -> None:
    """In an .npz: a comment, which is lost when NumPy writes it again."""
    with ZipFile(path, "a") as archive:
        archive.comment = MARK.encode()


def is_archive_of_ours(path: Path) -> bool:
    """Raises where it is no .npz."""
    with ZipFile(path) as archive:
        return archive.comment == MARK.encode()


def is_page_of_ours(path: Path) -> bool:
    """Of HTML, with the mark in its second line."""
    return f"<!-- {MARK} -->" in path.read_text(encoding="utf-8", errors="replace")[:200]


def mark_model(proto: Any) -> Any:
    """An ONNX model with its producer."""
    proto.producer_name = MARK
    return proto


def is_model_of_ours(path: Path) -> bool:
    """Of ONNX, or of TFLite with the mark as its description. Raises where it is neither."""
    if path.suffix == TFLITE:
        from tinycompile.frontend.tflite_schema import root

        return bool(root(path.read_bytes()).Description() == MARK.encode())
    from tinycompile.frontend.onnx_file import read_proto

    return bool(read_proto(path).producer_name == MARK)
