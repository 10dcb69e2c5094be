"""The `onnx` package, loaded when it is needed."""

from __future__ import annotations

from typing import Any

from tinycompile.errors import ToolMissingError


def onnx_module() -> Any:
    """The `onnx` package. Raises ToolMissingError."""
    try:
        import onnx
        import onnx.checker
        import onnx.inliner
        import onnx.shape_inference
    except ImportError as error:
        raise ToolMissingError(
            "the onnx package is not installed", why="it reads .onnx files", hint="pip install onnx"
        ) from error
    return onnx
