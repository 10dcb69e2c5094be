"""All importers of ONNX operators: those of the modules below, which register them when they are imported."""

from __future__ import annotations

from tinycompile.frontend import (
    onnx_caches,
    onnx_discrete,
    onnx_dynamic,
    onnx_elementwise,
    onnx_float_elementwise,
    onnx_float_layers,
    onnx_linear,
    onnx_ml_linear,
    onnx_ml_trees,
    onnx_moves,
    onnx_norms,
    onnx_positions,
    onnx_qoperators,
    onnx_recurrent,
    onnx_reductions,
    onnx_resize,
)
from tinycompile.frontend.onnx_registry import IMPORTERS

__all__ = ["IMPORTERS", "IMPORTER_MODULES"]

IMPORTER_MODULES = (
    onnx_caches,
    onnx_discrete,
    onnx_dynamic,
    onnx_elementwise,
    onnx_float_elementwise,
    onnx_float_layers,
    onnx_linear,
    onnx_ml_linear,
    onnx_ml_trees,
    onnx_moves,
    onnx_norms,
    onnx_positions,
    onnx_qoperators,
    onnx_recurrent,
    onnx_reductions,
    onnx_resize,
)
