"""Model files to `Graph`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tinycompile.choices import Runtime
from tinycompile.errors import ModelFileError, UsageError, system_reason
from tinycompile.frontend.formats import check_model_path
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_layout import channels_last
from tinycompile.ir import Graph

Floats = Literal["none", "islands", "all"]

MAX_FILE_BYTES = 1 << 29
"""No microcontroller model is larger than this."""


def load(
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    layout: str = "model",
    floats: Floats = "islands",
    signature: str | None = None,
    match: Runtime = "litert",
) -> Graph:
    """Read a model file; its content says what it is.

    Args:
        shapes: of inputs with dynamic dimensions, by name; a `.tflite` file holds for one shape only.
        layout: of 4-D inputs and outputs: "model", or "nhwc", without the transpositions of a `.tflite` file's edges.
        floats: what may run in float32: "none", "islands" in an int8 model, "all"; a float `.tflite` model runs with
            "islands", too, with a warning.
        signature: whose subgraph of a `.tflite` file is meant; None for the main one.
        match: the runtime whose bytes a `.tflite` file's are.

    Raises:
        ModelFileError, UnsupportedError, QuantizationNeededError, UsageError
    """
    path = Path(path)
    content = read_file(path)
    if is_onnx(path):
        from tinycompile.frontend.onnx import import_onnx

        _refuse_tflite_options(signature, match, path)
        graph = import_onnx(path, path.stem, shapes, layout, floats)
    else:
        graph = import_tflite(content, path.stem, str(path), signature, shapes, floats, match)
        graph = channels_last(graph, str(path)) if layout == "nhwc" else graph
    return graph


def class_names_of(path: Path, outputs: Sequence[tuple[int, ...]]) -> tuple[str, ...]:
    """The names of a classifier's classes that its file has: an ONNX file of ai.onnx.ml with strings for labels.

    Args:
        outputs: shapes of the model's outputs; one has a value for each name along its last axis, or there are none.
    """
    if not is_onnx(path):
        return ()
    from tinycompile.frontend.onnx_file import load_proto
    from tinycompile.frontend.onnx_ml_model import class_names, has_ml

    proto = load_proto(path)
    names = class_names(proto) if has_ml(proto) else ()
    return names if any(shape and shape[-1] == len(names) for shape in outputs) else ()


def _refuse_tflite_options(signature: str | None, match: Runtime, path: Path) -> None:
    if match != "litert":
        why = "an ONNX file means what onnxruntime and onnx's evaluator compute"
        raise UsageError(f"--match {match} is for .tflite models", where=str(path), why=why)
    if signature is not None:
        raise UsageError("--signature is for .tflite models", where=str(path), why="an ONNX file has one graph")


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def read_file(path: Path) -> bytes:
    """The content of a model file. Raises ModelFileError."""
    check_model_path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"the file has {size} bytes", where=str(path), why=f"the limit is {MAX_FILE_BYTES}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ModelFileError("the file can't be read", where=str(path), why=system_reason(error)) from error
