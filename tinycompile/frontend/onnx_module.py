"""The `onnx` package, loaded when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tinycompile.errors import ToolMissingError


def onnx_module() -> Any:
    """The `onnx` package. Raises ToolMissingError."""
    try:
        import onnx

        for part in ("checker", "inliner", "shape_inference"):  # `import onnx` alone doesn't load them
            import_module(f"onnx.{part}")
    except ImportError as error:
        raise ToolMissingError(
            "the onnx package is not installed", why="it reads .onnx files", hint="pip install onnx"
        ) from error
    return onnx


def copied(message: Any) -> Any:
    """A protobuf message of its own with the same content."""
    result: Any = type(message)()
    result.CopyFrom(message)
    return result
