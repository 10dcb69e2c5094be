"""Activation scales taken over from an older build, so that its code fits the new weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinycompile.errors import IncompatibleError
from tinycompile.frontend.onnx_file import onnx_module, read_proto
from tinycompile.quantize.qdq import Parameters

PINNED = "pinned"
"""The method's name in a trial."""

_SUFFIX = "_quantized"


def pinned_parameters(qdq: Path) -> dict[str, tuple[float, int]]:
    """(scale, zero point) of the tensors of a QDQ model that `to_qdq` wrote.

    Raises:
        ModelFileError.
    """
    proto = read_proto(qdq)
    arrays = {i.name: onnx_module().numpy_helper.to_array(i) for i in proto.graph.initializer}
    found = dict[str, tuple[float, int]]()
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0].endswith(_SUFFIX):
            scale, zero_point = (arrays[name] for name in node.input[1:3])
            found[node.output[0].removesuffix(_SUFFIX)] = float(scale), int(zero_point)
    return found


def check_pinned(pinned: Parameters, names: Sequence[str], where: str) -> None:
    """Raises IncompatibleError unless exactly these tensors are pinned."""
    missing, gone = sorted(set(names) - set(pinned)), sorted(set(pinned) - set(names))
    if missing or gone:
        parts = [f"only here: {_listed(missing)}"] if missing else []
        parts += [f"only in the old model: {_listed(gone)}"] if gone else []
        raise IncompatibleError(
            "the model has other tensors than the one of the old build",
            where=where,
            why="; ".join(parts),
            hint="export it exactly as the old one: the same layers and names",
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
