"""Operators of ai.onnx.ml in ONNX's words, as far as it has the same.

What is left, trees and linear classifiers, has importers (onnx_ml_trees.py, onnx_ml_linear.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.errors import UnsupportedError
from tinycompile.frontend import onnx_ml_vectors
from tinycompile.frontend.onnx_ml_rewrite import RULES, MlRewriting, floats_of_operand, rule
from tinycompile.frontend.onnx_module import copied
from tinycompile.frontend.onnx_rewrite import names_of, rewrite_nodes
from tinycompile.frontend.onnx_schema import ML
from tinycompile.frontend.tflite_scope import Rejected

RULE_MODULES = (onnx_ml_vectors,)
"""Each registers its rules when it is imported."""
_FLOAT = 1  # TensorProto
NEWEST_ML = 5
"""The newest version of the domain. Older ones differ in what operators have, not in what that means."""
LARGEST_TABLE = 4096
"""Numbers between the smallest and the largest key of a LabelEncoder, which is a table of them."""


def in_onnx_words(proto: Any, where: str) -> Any:
    """The model, of opset 13 or later, with ONNX's own operators where they do what those of ai.onnx.ml do.

    Tensors keep their names. What has no rule is left to the importers.

    Raises:
        UnsupportedError: every node that can't be compiled, at once.
    """
    versions = [o.version for o in proto.opset_import if o.domain == ML]
    if not versions or not any(node.domain == ML for node in proto.graph.node):
        return proto
    if versions[0] > NEWEST_ML:
        reason = f"supported are versions up to {NEWEST_ML}; export it again with an older one"
        raise UnsupportedError([(f"{ML} version {versions[0]}", reason)], where=where)
    clone = copied(proto)
    taken = names_of(proto)
    ranks = {i.name: len(i.dims) for i in proto.graph.initializer}
    ranks |= {v.name: len(v.type.tensor_type.shape.dim) for v in proto.graph.input if v.name not in ranks}

    def step_of(node: Any) -> MlRewriting | None:
        return MlRewriting(node, taken, ranks) if node.domain == ML and node.op_type in RULES else None

    rewrite_nodes(clone, step_of, _rewrite, where, [])
    return clone


def _rewrite(step: MlRewriting) -> list[Any]:
    """Every attribute is taken, or the node is refused."""
    nodes = RULES[step.node.op_type](step)
    if step.attributes:
        raise Rejected(f"the attribute {next(iter(step.attributes))} is not supported here")
    return nodes


@rule("Scaler")
def _scaler(step: MlRewriting) -> list[Any]:
    """(x - offset) * scale."""
    cast, x = floats_of_operand(step)
    centred = step.name("centred")
    offset = step.constant("offset", step.take("offset", [0.0]), np.float32)
    scale = step.constant("scale", step.take("scale", [1.0]), np.float32)
    return [cast, step.make("Sub", [x, offset], centred), step.make("Mul", [centred, scale], step.node.output[0])]


@rule("Normalizer")
def _normalizer(step: MlRewriting) -> list[Any]:
    """Rows divided by a norm; those of which it is 0 stay."""
    cast, x = floats_of_operand(step)
    norm = step.take("norm", b"MAX")
    names = {name: step.name(name) for name in ("powers", "sum", "norm", "divisor", "zero")}
    nodes, last = [cast], step.constant("axes", [-1], np.int64)
    if norm == b"L1":
        nodes += [
            step.make("Abs", [x], names["powers"]),
            step.make("ReduceSum", [names["powers"], last], names["norm"]),
        ]
    elif norm == b"L2":
        nodes += [
            step.make("Mul", [x, x], names["powers"]),
            step.make("ReduceSum", [names["powers"], last], names["sum"]),
            step.make("Sqrt", [names["sum"]], names["norm"]),
        ]
    else:
        raise Rejected(f"the norm {norm.decode(errors='replace')} is not supported: runtimes differ in its sign")
    nothing, one = step.constant("nothing", [0.0], np.float32), step.constant("one", [1.0], np.float32)
    return [
        *nodes,
        step.make("Equal", [names["norm"], nothing], names["zero"]),
        step.make("Where", [names["zero"], one, names["norm"]], names["divisor"]),
        step.make("Div", [x, names["divisor"]], step.node.output[0]),
    ]


@rule("Binarizer")
def _binarizer(step: MlRewriting) -> list[Any]:
    """1 where x > threshold, else 0."""
    cast, x = floats_of_operand(step)
    larger, threshold = step.name("larger"), step.constant("threshold", [step.take("threshold", 0.0)], np.float32)
    return [
        cast,
        step.make("Greater", [x, threshold], larger),
        step.make("Cast", [larger], step.node.output[0], to=_FLOAT),
    ]


@rule("Imputer")
def _imputer(step: MlRewriting) -> list[Any]:
    """Another value, or one of its own for each feature, where x is a value or, where that is NaN, no number."""
    integers = step.take("imputed_value_int64s", None)
    step.take("replaced_value_int64", 0)
    if integers:
        raise Rejected("imputed_value_int64s: integers, supported are floats")
    replaced = float(step.take("replaced_value_float", 0.0))
    imputed = step.constant("imputed", step.take("imputed_value_floats", [0.0]), np.float32)
    x, found, y = step.node.input[0], step.name("found"), step.node.output[0]
    if replaced == replaced:
        value = step.constant("replaced", [replaced], np.float32)
        return [step.make("Equal", [x, value], found), step.make("Where", [found, imputed, x], y)]
    # A number equals itself, NaN doesn't.
    return [step.make("Equal", [x, x], found), step.make("Where", [found, x, imputed], y)]


@rule("ArrayFeatureExtractor")
def _array_feature_extractor(step: MlRewriting) -> list[Any]:
    """Elements of the last axis; the result of a row alone has an axis in front."""
    x, indices = step.node.input
    flat, found, y = step.name("indices"), step.name("found"), step.node.output[0]
    wanted = [1, -1] if step.ranks.get(x) == 1 else None
    gather = step.make("Gather", [x, flat], y if wanted is None else found, axis=-1)
    nodes = [step.make("Reshape", [indices, step.constant("flat", [-1], np.int64)], flat), gather]
    if wanted is not None:
        nodes.append(step.make("Reshape", [found, step.constant("row", wanted, np.int64)], y))
    return nodes


@rule("FeatureVectorizer")
def _feature_vectorizer(step: MlRewriting) -> list[Any]:
    """Features side by side; the sizes are those of the operands."""
    step.take("inputdimensions", None)
    casts = [floats_of_operand(step, operand) for operand in range(len(step.node.input))]
    names = [name for _, name in casts]
    return [*(node for node, _ in casts), step.make("Concat", names, step.node.output[0], axis=-1)]


_TABLES: Mapping[str, Any] = {"int64s": np.int64, "floats": np.float32}


@rule("LabelEncoder")
def _label_encoder(step: MlRewriting) -> list[Any]:
    """Values by integer keys: a table from the smallest to the largest key, with the default on both sides."""
    keys = step.take("keys_int64s", None)
    values = {kind: found for kind in _TABLES if (found := step.take(f"values_{kind}", None)) is not None}
    defaults = {"int64s": step.take("default_int64", -1), "floats": step.take("default_float", -0.0)}
    if keys is None or len(values) != 1:
        raise Rejected("supported are integer keys and values that are integers, floats or classes' names")
    ((kind, found),) = values.items()
    low, high = min(keys), max(keys)
    if high - low >= LARGEST_TABLE or len(found) != len(keys):
        raise Rejected(f"{len(keys)} keys from {low} to {high}; supported are {LARGEST_TABLE} numbers")
    table = np.full(high - low + 3, defaults[kind], _TABLES[kind])
    for key, value in reversed(list(zip(keys, found, strict=True))):  # the first of equal keys counts
        table[key - low + 1] = value
    names = [step.name(name) for name in ("from_low", "at_least", "index")]
    bounds = [step.constant(n, v, np.int64) for n, v in (("low", low - 1), ("first", 0), ("last", len(table) - 1))]
    return [
        step.make("Sub", [step.node.input[0], bounds[0]], names[0]),
        step.make("Max", [names[0], bounds[1]], names[1]),
        step.make("Min", [names[1], bounds[2]], names[2]),
        step.make("Gather", [step.constant("table", table, _TABLES[kind]), names[2]], step.node.output[0], axis=0),
    ]


@rule("LinearRegressor")
def _linear_regressor(step: MlRewriting) -> list[Any]:
    """A matrix product; the post-transform PROBIT isn't for it, and onnxruntime computes no other one."""
    if step.take("post_transform", b"NONE") != b"NONE":
        raise Rejected("a post_transform")
    targets = int(step.take("targets", 1))
    cast, x = floats_of_operand(step)
    weights = np.array(step.take("coefficients", None), np.float32).reshape(targets, -1)
    operands = [x, step.constant("coefficients", weights, np.float32)]
    if (intercepts := step.take("intercepts", None)) is not None:
        operands.append(step.constant("intercepts", intercepts, np.float32))
    return [cast, step.make("Gemm", operands, step.node.output[0], transB=1)]
