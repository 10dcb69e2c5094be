"""How ONNX files store weights of few bits: INT4 from opset 21 on, INT2 from 25 on; in older files as int8.

3 bits are numbers from -4 to 3 of INT4, which ONNX has nothing smaller for; a build packs what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from tinycompile.errors import ToolFailedError
from tinycompile.frontend.onnx_file import opset_of
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.quantize.execution import session_of

_INT4, _INT2 = 21, 25
"""The first opsets with these types."""


def stored_type(bits: int, opset: int) -> np.dtype[Any]:
    """The smallest type that a file of an opset has for weights of so many bits."""
    if bits == 2 and opset >= _INT2:
        return np.dtype(ml_dtypes.int2)
    return np.dtype(ml_dtypes.int4 if bits <= 4 and opset >= _INT4 else np.int8)


def with_types_for(proto: Any, bits: Iterable[int]) -> Any:
    """The model in the oldest opset that has types for weights of so many bits; as it is, if it can't be raised so far.

    onnx's own converter raises it. Names of inputs and outputs stay, and onnxruntime has to run what comes of it.

    Args:
        proto: a float ModelProto.
    """
    least = min(bits, default=8)
    for wanted in [_INT2, _INT4] if least == 2 else [_INT4] if least < 8 else []:
        if opset_of(proto) >= wanted:
            return proto
        raised = _raised(proto, wanted)
        if raised is not None:
            return raised
    return proto


def _raised(proto: Any, opset: int) -> Any | None:
    onnx = onnx_module()
    from onnx import version_converter

    try:
        raised = version_converter.convert_version(proto, opset)
        raised.ir_version = max(raised.ir_version, onnx.helper.find_min_ir_version_for(raised.opset_import))
        session_of(raised)
    except Exception as error:  # the converter's and onnxruntime's own have no common class
        if isinstance(error, (RuntimeError, ValueError, ToolFailedError)) or "onnx" in type(error).__module__:
            return None
        raise

    def ends(model: Any) -> list[list[str]]:
        return [[value.name for value in values] for values in (model.graph.input, model.graph.output)]

    return raised if ends(raised) == ends(proto) else None
