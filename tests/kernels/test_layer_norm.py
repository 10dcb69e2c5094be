"""Layer normalisation in one function against its operators one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support import kernel_checks
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.fused_nodes import Nodes, site_of
from tests.support.kernel_checks import M7, check, int8, random_values
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Array, Graph, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.cover import fused
from tinycompile.kernels.layer_norm import layer_norm
from tinycompile.kernels.layer_norm_forms import RowLine, square_by_unit
from tinycompile.kernels.layer_norm_pattern import layer_norm_of
from tinycompile.kernels.layer_normalization import layer_normalization
from tinycompile.ops.add import Add
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.layer_normalization import LayerNormalization
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.ops.sub import Sub

M0 = core_named("cortex-m0plus")


def keras(rows: int, depth: int, scale: float = 0.034, *, turned: bool = False, signs: bool = False) -> Graph:
    """As Keras writes it, with a NEG of floats. `turned`: operands the other way round. `signs`: of the factors."""

    def pair(a: str, b: str) -> list[str]:
        return [b, a] if turned else [a, b]

    rng, n = np.random.default_rng(depth), Nodes()
    x = n.given("x", (1, rows, depth), scale, 2)
    gamma = n.vector("gamma", rng.integers(-20, 128, depth).tolist(), 0.0049, 12 if signs else -128)
    beta = n.vector("beta", rng.integers(-128, 128, depth).tolist(), 0.002673, 29)
    mean = n.add("mean", Mean(axes=(2,), keep_dims=True), [x], int8((), 0.01, 12))
    floats = n.add(
        "negated", Neg(), [n.add("floats", Dequantize(), [mean], TensorType((), FLOAT32))], TensorType((), FLOAT32)
    )
    minus = n.add("minus", Quantize(INT8), [floats], int8((), 0.01, -13))
    square = n.add("square", SquaredDifference(), pair(x, mean), int8((), 0.09, -128))
    variance = n.add("variance", Mean(axes=(2,), keep_dims=True), [square], int8((), 0.03, -128))
    padded = n.add("padded", Add(), [variance, n.scalar("epsilon", 127, 4e-6)], int8((), 0.03, -128))
    root = n.add("root", Rsqrt(), [padded], int8((), 0.0066, -128))
    gain = n.add("gain", Mul(), pair(root, gamma), int8((), 0.0098, 3 if signs else -128))
    shift = n.add("shift", Mul(), pair(minus, gain), int8((), 0.01325, 40))
    offset = n.add("offset", Add(), pair(shift, beta), int8((), 0.01377, 40))
    scaled = n.add("scaled", Mul(), pair(x, gain), int8((), 0.03281, -12))
    n.add("y", Add(), pair(scaled, offset), int8((), 0.02997, -2))
    return n.graph


def torch(rows: int, depth: int) -> Graph:
    """As litert-torch writes it: means without the axes that they are over, nothing behind the root."""
    n = Nodes()
    x = n.given("x", (1, rows, depth), 0.0145, -2)
    mean = n.add("mean", Mean(axes=(0, 2), keep_dims=False), [x], int8((), 0.004, 13))
    column = n.add("column", Reshape((1, rows, 1)), [mean])
    square = n.add("square", SquaredDifference(), [x, column], int8((), 0.014, -128))
    variance = n.add("variance", Mean(axes=(0, 2), keep_dims=False), [square], int8((), 0.005, -128))
    padded = n.add("padded", Add(), [variance, n.scalar("epsilon", 127, 4e-8)], int8((), 0.005, -128))
    root = n.add("root", Rsqrt(), [padded], int8((), 0.0092, -128))
    product = n.add("product", Mul(), [root, mean], int8((), 0.0025, 14))
    minus = n.add("minus", Sub(), [n.scalar("zero", -128, 4e-12), product], int8((), 0.0025, -15))
    scaled = n.add("scaled", Mul(), [x, n.add("roots", Reshape((1, rows, 1)), [root])], int8((), 0.023, 0))
    n.add("y", Add(), [scaled, n.add("offset", Reshape((1, rows, 1)), [minus])], int8((), 0.0225, -2))
    return n.graph


GRAPHS = {
    "keras": keras(40, 12),
    "factors of both signs": keras(5, 10, signs=True),
    "the other way round": keras(2, 9, 0.0071, turned=True),
    "torch": torch(4, 7),
}


@pytest.mark.parametrize(
    ("name", "way"), [("keras", "positive"), ("torch", "plain"), ("factors of both signs", "scaled")]
)
def test_a_row_at_a_time(name: str, way: str) -> None:
    kernel = check(layer_norm, site_of(GRAPHS[name]), M0 if name == "torch" else M7)
    assert kernel.variant == f"layer_norm_{way}"
    assert kernel.overlap == {0: 0}
    assert not kernel.scratch_bytes


def test_lines_for_most_scales() -> None:
    """Of a factor and a number of a row of any sign; a line is compared with the rule when it is found."""
    rng, bytes_ = np.random.default_rng(4), np.arange(256)
    found = list[RowLine | None]()
    for _ in range(12):
        a, b, steps = (float(10 ** rng.uniform(low, high)) for low, high in ((-3, -1), (-3, -1), (1.3, 3)))
        zero_point = int(rng.integers(-128, 128))
        sig = Signature((int8((1,), a, -128), int8((1,), b, zero_point)), (int8((1,), a * b * steps, zero_point),))
        rule = Mul().requant(sig)
        found.append(RowLine.of(bytes_, bytes_ - 128 - zero_point, rule))
        assert RowLine.of(bytes_ - 128, bytes_, rule) is None
    assert sum(line is not None for line in found) >= 11


def test_squares_for_most_scales() -> None:
    rng, found = np.random.default_rng(5), 0
    for _ in range(8):
        x, mean, largest = (float(rng.uniform(low, high)) for low, high in ((0.01, 0.1), (0.02, 1), (60, 260)))
        operands = int8((1,), x, int(rng.integers(-128, 128))), int8((1,), x * mean, int(rng.integers(-128, 128)))
        sig = Signature(operands, (int8((1,), (x * largest) ** 2 / 255, -128),))
        found += square_by_unit(SquaredDifference(), sig, 0) is not None
        if mean < 0.9:  # the other operand's scale is the larger one
            assert square_by_unit(SquaredDifference(), sig, 1) is None
    assert found >= 7


def real_numbers(rows: int, depth: int, *, centred: bool) -> Site:
    """The operator that rounds once."""
    columns, rng = TensorType((depth,), FLOAT32), np.random.default_rng(depth)
    scale, bias = (rng.normal(0, 1, depth).astype(np.float32) for _ in range(2))
    x, y = int8((rows, depth), 0.05, 7), int8((), 0.03, -4)
    return kernel_checks.site_of(LayerNormalization(1e-5, centred), [x, columns, columns], [None, scale, bias], y)


def cases() -> list[tuple[Factory, Site]]:
    return [
        *((layer_norm, site_of(graph)) for graph in GRAPHS.values()),
        (layer_normalization, real_numbers(4, 27, centred=True)),
        (layer_normalization, real_numbers(5, 16, centred=False)),
    ]


def kinds_of_rows(t: TensorType, rng: np.random.Generator) -> Array:
    """A constant one, one of both ends, one that is hardly different, and any."""
    values = random_values(t, rng).reshape(-1, t.shape[-1])
    near = rng.integers(100, 103, values.shape)
    ends = rng.choice(t.dtype.range, values.shape)
    kinds = np.arange(len(values))[:, None] % 4
    chosen = np.select([kinds == 1, kinds == 2, kinds == 3], [near[:, :1], ends, near], values)
    return chosen.astype(np.int8).reshape(t.shape)


def test_in_assembly() -> None:
    check_emulated(cases(), values_of=kinds_of_rows)


def test_no_norm_where_an_operator_reads_something_else() -> None:
    """Such as a gain that is added to, where the scaled mean should be."""
    graph = keras(2, 4)
    nodes = [replace(node, inputs=("gain", "beta")) if node.name == "offset" else node for node in graph.nodes]
    changed = fused([node for node in nodes if node.name not in ("negated", "floats", "minus", "shift")], graph.types)
    assert layer_norm_of(graph.site(fused(graph.nodes, graph.types))) is not None
    assert layer_norm_of(graph.site(changed)) is None


@pytest.mark.parametrize("name", ["column", "roots", "offset"])
def test_no_norm_where_rows_statistics_belong_to_columns(name: str) -> None:
    """As many rows as columns: shapes alone say which of them an element is for."""
    graph = torch(4, 4)
    assert layer_norm_of(site_of(graph)) is not None
    assert layer_norm_of(site_of(with_shape(graph, name, (1, 1, 4)))) is None


@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_no_norm_with_a_constant_for_each_row(name: str) -> None:
    graph = keras(4, 4)
    assert layer_norm_of(site_of(graph)) is not None
    turned = {name: graph.constants[name].reshape(1, 4, 1)}
    changed = with_shape(replace(graph, constants=dict(graph.constants) | turned), name, (1, 4, 1))
    if name == "gamma":  # roots for each column
        changed = with_shape(changed, "root", (1, 1, 4))
    assert layer_norm_of(changed.site(fused(changed.nodes, changed.types))) is None


def with_shape(graph: Graph, name: str, shape: tuple[int, ...]) -> Graph:
    """A value of another shape, and the reshape that makes it, if one does."""
    types = dict(graph.types) | {name: replace(graph.types[name], shape=shape)}
    nodes = [replace(n, op=Reshape(shape)) if n.name == name and isinstance(n.op, Reshape) else n for n in graph.nodes]
    return replace(graph, nodes=tuple(nodes), types=types)
