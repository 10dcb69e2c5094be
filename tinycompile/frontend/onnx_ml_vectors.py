"""Support vector machines of ai.onnx.ml in ONNX's words: matrix products, an exponential or a power, votes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_ml_rewrite import MlRewriting, floats_of_operand, rule
from tinycompile.frontend.onnx_schema import ML
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

MOST_CLASSES = 64
"""A score for each pair of them is a row of weights for all vectors."""
COUPLED = "CoupledProbabilities"
"""What ONNX has no words for: of pairs' scores probabilities of classes."""


def _list(step: MlRewriting, name: str) -> Array:
    return np.array(step.take(name, None) or [], np.float32)


def _kernel(step: MlRewriting, x: str, vectors: Array) -> tuple[list[Any], str]:
    """Nodes that compute the kernel of each row with each support vector, (rows, vectors), and their result."""
    kind = step.take("kernel_type", b"LINEAR").decode(errors="replace")
    given: list[float] = step.take("kernel_params", None) or []
    gamma, offset, degree = (float(value) for value in [*given, 0.0, 0.0, 0.0][:3])
    if kind == "RBF":
        return _radial(step, x, vectors, gamma)
    if kind not in ("LINEAR", "POLY", "SIGMOID"):
        raise Rejected(f"kernel_type = {kind!r}")
    linear = kind == "LINEAR"
    weights = vectors if linear else vectors * np.float32(gamma)
    operands = [x, step.constant("vectors", weights, np.float32)]
    if not linear:
        operands.append(step.constant("offset", np.full(len(vectors), offset), np.float32))
    product = step.name("product")
    nodes = [step.make("Gemm", operands, product, transB=1)]
    if linear:
        return nodes, product
    result = step.name("kernel")
    if kind == "POLY":
        nodes.append(step.make("Pow", [product, step.constant("degree", [degree], np.float32)], result))
    else:
        nodes.append(step.make("Tanh", [product], result))
    return nodes, result


def _radial(step: MlRewriting, x: str, vectors: Array, gamma: float) -> tuple[list[Any], str]:
    """exp(-gamma |x - v|^2) as exp(2 gamma x v - gamma |v|^2 - gamma |x|^2): a matrix product and one sum of squares.
    Both are taken from the middle of the vectors, so that differences aren't those of large numbers.
    """
    middle = vectors.mean(0, dtype=np.float64).astype(np.float32)
    moved = vectors.astype(np.float64) - middle
    names = {name: step.name(name) for name in ("moved", "squares", "length", "scaled", "product", "power", "kernel")}
    weights = step.constant("vectors", 2 * gamma * moved, np.float32)
    lengths = step.constant("lengths", -gamma * (moved**2).sum(1), np.float32)
    nodes = [
        step.make("Sub", [x, step.constant("middle", middle, np.float32)], names["moved"]),
        step.make("Mul", [names["moved"], names["moved"]], names["squares"]),
        step.make("ReduceSum", [names["squares"], step.constant("axes", [-1], np.int64)], names["length"]),
        step.make("Mul", [names["length"], step.constant("gamma", [gamma], np.float32)], names["scaled"]),
        step.make("Gemm", [names["moved"], weights, lengths], names["product"], transB=1),
        step.make("Sub", [names["product"], names["scaled"]], names["power"]),
        step.make("Exp", [names["power"]], names["kernel"]),
    ]
    return nodes, names["kernel"]


@rule("SVMRegressor")
def _regressor(step: MlRewriting) -> list[Any]:
    """The kernels' weighted sum; for one class whether it is positive, as 1 or -1."""
    if step.take("post_transform", b"NONE") != b"NONE":
        raise Rejected("a post_transform")
    count, one_class = int(step.take("n_supports", 0)), bool(step.take("one_class", 0))
    weights, vectors, rho = (_list(step, name) for name in ("coefficients", "support_vectors", "rho"))
    cast, x = floats_of_operand(step)
    nodes, kernel = [cast], x
    if count:
        more, kernel = _kernel(step, x, vectors.reshape(count, -1))
        nodes += more
    else:
        step.take("kernel_type", None)
        step.take("kernel_params", None)
    y = step.node.output[0]
    total = step.name("sum") if one_class else y
    operands = [kernel, step.constant("coefficients", weights.reshape(1, -1), np.float32)]
    nodes.append(step.make("Gemm", [*operands, step.constant("rho", rho[:1], np.float32)], total, transB=1))
    if one_class:
        above, zero = step.name("above"), step.constant("zero", [0.0], np.float32)
        signs = [step.constant(name, [sign], np.float32) for name, sign in (("inside", 1.0), ("outside", -1.0))]
        nodes += [step.make("Greater", [total, zero], above), step.make("Where", [above, *signs], y)]
    return nodes


@rule("SVMClassifier")
def _classifier(step: MlRewriting) -> list[Any]:
    """A score for each pair of classes, each of which votes for one; the first class with most votes wins, whatever the
    probabilities are.
    """
    platt = [list(step.take(name, None) or []) for name in ("prob_a", "prob_b")]
    labels: list[int] = list(step.take("classlabels_ints", None) or [])
    counts: list[int] = step.take("vectors_per_class", None) or []
    sizes = [int(n) for n in counts]
    transform = step.take("post_transform", b"NONE").decode(errors="replace")
    weights, vectors, rho = (_list(step, name) for name in ("coefficients", "support_vectors", "rho"))
    if len(sizes) != len(labels) or not 2 <= len(labels) <= MOST_CLASSES or transform != "NONE":
        raise Rejected(f"{len(sizes)} classes of vectors for {len(labels)} labels, post_transform = {transform!r}")
    pairs = list(combinations(range(len(labels)), 2))
    cast, x = floats_of_operand(step)
    nodes, kernel = _kernel(step, x, vectors.reshape(sum(sizes), -1))
    table = _pairs(weights.reshape(len(labels) - 1, sum(sizes)), sizes)
    label, scores = step.node.output
    two = len(labels) == 2
    each = step.name("pairs") if two or platt[0] else scores
    operands = [kernel, step.constant("coefficients", table, np.float32)]
    nodes.append(step.make("Gemm", [*operands, step.constant("rho", rho[: len(pairs)], np.float32)], each, transB=1))
    names = {name: step.name(name) for name in ("above", "ballots", "votes", "winner", "opposite")}
    votes = np.zeros((len(labels), len(pairs)), np.float32)
    for number, (a, b) in enumerate(pairs):
        votes[a, number], votes[b, number] = 1, -1
    against = np.array([sum(b == i for _, b in pairs) for i in range(len(labels))], np.float32)
    tables = [step.constant(name, table, np.float32) for name, table in (("for", votes), ("against", against))]
    nodes += [
        step.make("Greater", [each, step.constant("zero", [0.0], np.float32)], names["above"]),
        step.make("Cast", [names["above"]], names["ballots"], to=1),
        step.make("Gemm", [names["ballots"], *tables], names["votes"], transB=1),
        step.make("ArgMax", [names["votes"]], names["winner"], axis=-1, keepdims=0),
        step.make("Gather", [step.constant("labels", labels, np.int64), names["winner"]], label, axis=0),
    ]
    if platt[0]:
        a, b = (values[: len(pairs)] for values in platt)
        coupled = step.make(COUPLED, [each], scores, prob_a=a, prob_b=b, classes=len(labels))
        coupled.domain = ML
        nodes.append(coupled)
    elif two:
        nodes.append(step.make("Neg", [each], names["opposite"]))
        nodes.append(step.make("Concat", [names["opposite"], each], scores, axis=-1))
    return [cast, *nodes]


def _pairs(weights: Array, sizes: list[int]) -> Array:
    """A row of weights of all vectors for each pair of classes: those of other classes have 0."""
    starts = np.cumsum([0, *sizes])
    rows = list[Array]()
    for a, b in combinations(range(len(sizes)), 2):
        row = np.zeros(weights.shape[1], np.float32)
        row[starts[a] : starts[a + 1]] = weights[b - 1, starts[a] : starts[a + 1]]
        row[starts[b] : starts[b + 1]] = weights[a, starts[b] : starts[b + 1]]
        rows.append(row)
    return np.array(rows)
