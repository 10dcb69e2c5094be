"""Model files to `Graph`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from tinycompile.errors import ModelFileError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph

Floats = Literal["none", "islands", "all"]

MAX_FILE_BYTES = 1 << 29
"""No microcontroller model is larger than this."""


def load(
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    layout: str = "model",
    floats: Floats = "islands",
) -> Graph:
    """Read a model file; its content says what it is.

    Args:
        shapes: of ONNX inputs with dynamic dimensions, by name.
        layout: of 4-D ONNX inputs and outputs: "model" or "nhwc".
        floats: what of an ONNX model may run in float32: "none", "islands" in an int8 model, "all".

    Raises:
        ModelFileError, UnsupportedError, QuantizationNeededError
    """
    path = Path(path)
    content = read_file(path)
    if is_onnx(path):
        from tinycompile.frontend.onnx import import_onnx

        return import_onnx(path, path.stem, shapes, layout, floats)
    return import_tflite(content, path.stem, str(path))


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def read_file(path: Path) -> bytes:
    """The content of a model file. Raises ModelFileError."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"the file has {size} bytes", where=str(path), why=f"the limit is {MAX_FILE_BYTES}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError("the file can't be read", where=str(path), why=str(error)) from error
