"""Which attributes an operator has, and their defaults: by onnx's schemas, and for com.microsoft by a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from tinycompile.frontend.onnx_module import onnx_module

MICROSOFT = "com.microsoft"
ML = "ai.onnx.ml"

_WINDOW: Mapping[str, Any] = {
    "auto_pad": "NOTSET",
    "dilations": None,
    "group": 1,
    "kernel_shape": None,
    "pads": None,
    "strides": None,
}
_SIZES = ("dilations", "kernel_shape", "pads", "strides")
MICROSOFT_ATTRIBUTES: Mapping[str, Mapping[str, Any]] = {
    "Attention": {
        "do_rotary": None,
        "mask_filter_value": None,
        "num_heads": None,
        "past_present_share_buffer": None,
        "qkv_hidden_sizes": None,
        "rotary_embedding_dim": None,
        "scale": None,
        "unidirectional": 0,
    },
    "BiasGelu": {},
    "DequantizeLinear": {"axis": None},
    "DynamicQuantizeLSTM": {
        "activation_alpha": None,
        "activation_beta": None,
        "activations": None,
        "clip": None,
        "direction": "forward",
        "hidden_size": None,
        "input_forget": 0,
    },
    "DynamicQuantizeMatMul": {},
    "EmbedLayerNormalization": {"epsilon": 1e-12, "mask_index_type": None},
    "FusedConv": {**_WINDOW, "activation": None, "activation_params": None},
    "FusedGemm": {
        "activation": None,
        "activation_alpha": None,
        "activation_beta": None,
        "activation_gamma": None,
        "alpha": 1.0,
        "beta": 1.0,
        "transA": 0,
        "transB": 0,
    },
    "FastGelu": {},
    "FusedMatMul": {"alpha": 1.0, "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0},
    "GatherBlockQuantized": {"bits": 4, "block_size": 128, "gather_axis": 0, "quantize_axis": 1},
    "Gelu": {},
    "MatMulIntegerToFloat": {},
    "MatMulNBits": {
        "K": None,
        "N": None,
        "accuracy_level": 0,
        "bits": 4,
        "block_size": None,
        "weight_prepacked": 0,
    },
    "MultiHeadAttention": {"mask_filter_value": None, "num_heads": None, "scale": None, "unidirectional": 0},
    "NhwcMaxPool": {"auto_pad": "NOTSET", "ceil_mode": 0, **dict.fromkeys(_SIZES)},
    "Pad": {"mode": "constant"},
    "QAttention": {
        "do_rotary": None,
        "mask_filter_value": None,
        "num_heads": None,
        "past_present_share_buffer": None,
        "scale": None,
        "unidirectional": 0,
    },
    "QGemm": {"alpha": 1.0, "transA": 0, "transB": 0},
    "QLinearAdd": {},
    "QLinearAveragePool": {
        "auto_pad": "NOTSET",
        "ceil_mode": 0,
        "channels_last": 0,
        "count_include_pad": 0,
        "kernel_shape": None,
        "pads": None,
        "strides": None,
    },
    "QLinearConcat": {"axis": None},
    "QLinearConv": {**_WINDOW, "channels_last": 0},
    "QLinearGlobalAveragePool": {"channels_last": 0},
    "QLinearLeakyRelu": {"alpha": 0.01},
    "QLinearMul": {},
    "QLinearReduceMean": {"axes": None, "keepdims": None},
    "QLinearSigmoid": {},
    "QLinearSoftmax": {"axis": -1, "opset": None},
    "QLinearWhere": {},
    "QuantizeLinear": {"axis": None},
    "QuickGelu": {"alpha": 1.702},
    "SkipLayerNormalization": {"epsilon": 1e-12},
    "SkipSimplifiedLayerNormalization": {"epsilon": 1e-12},
}
"""The com.microsoft operators that are imported (onnxruntime, docs/ContribOperators.md), as of version 1."""

FOUNDLINGS: Mapping[str, int | None] = {"LayerNormalization": 17, "SimplifiedLayerNormalization": None}
"""Operators that onnxruntime has in ONNX's own domain before ONNX: the opset since which ONNX has them, None for never.

Its optimiser puts them into models of any opset (findings/onnxruntime_saves_norms_outside_onnx.sh). They are read as
com.microsoft's.
"""

_FOUNDLING_ATTRIBUTES = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}


_WITH_BLOCKS, _BLOCKS = ("DequantizeLinear", "QuantizeLinear"), 21
"""Since which opset these have blocks. As MatMulNBits is read as them in any, so are they; onnx checks files first."""


@cache
def defaults(kind: str, domain: str, opset: int) -> Mapping[str, Any] | None:
    """The attributes of an operator with their defaults, None where they have none; None for an unknown operator.

    Args:
        opset: the version of the domain.
    """
    if domain == MICROSOFT:
        return _FOUNDLING_ATTRIBUTES if kind in FOUNDLINGS else MICROSOFT_ATTRIBUTES.get(kind)
    onnx = onnx_module()
    try:
        newest = max(opset, _BLOCKS) if kind in _WITH_BLOCKS else opset
        schema = onnx.defs.get_schema(kind, newest, ML if domain == ML else "")
    except Exception:  # onnx.defs.SchemaError: no such operator in this opset
        return None
    return {name: _default(attribute) for name, attribute in schema.attributes.items()}


def _default(attribute: Any) -> Any:
    if not attribute.default_value.name:
        return None
    return plain(onnx_module().helper.get_attribute_value(attribute.default_value))


def plain(value: Any) -> Any:
    """An attribute's value as str, list or number."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return list(cast(Sequence[Any], value)) if isinstance(value, (list, tuple)) else value
