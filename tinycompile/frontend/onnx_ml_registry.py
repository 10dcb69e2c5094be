"""The importers of the operators of ai.onnx.ml by name."""

from __future__ import annotations

from collections.abc import Callable

from tinycompile.frontend.onnx_registry import Importer

ML_IMPORTERS: dict[str, Importer] = {}


def ml_importer(*names: str) -> Callable[[Importer], Importer]:
    """Decorator: read these operators of ai.onnx.ml with this function. Their operands are float tensors."""

    def register(function: Importer) -> Importer:
        for name in names:
            ML_IMPORTERS[name] = function
        return function

    return register
