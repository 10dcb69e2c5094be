"""Fewer tokens behind an attention: which, where they are taken out, and what else can't have fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.support.fused_nodes import Nodes
from tests.support.kernel_checks import int8
from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Op, Quantization, TensorType
from tinycompile.numerics.step_requant import exact_requant
from tinycompile.ops.add import Add
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected
from tinycompile.ops.mean import Mean
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.take import Take
from tinycompile.ops.transpose import Transpose
from tinycompile.passes.keep_tokens import Keep, Pruned, attentions, keep_tokens

TOKENS, WIDTH = 9, 6
HEADS: dict[str, Sequence[Op]] = {
    "mean": [Mean((1,), keep_dims=False)],
    "class": [Take(1, (0,)), Reshape((1, WIDTH))],
}


def block(n: Nodes, x: str, number: int, heads: int, *, turned: bool = False) -> str:
    """x + attention of x to itself, of several heads.

    Args:
        turned: tokens are the last axis of x and of the sum.
    """
    tokens = n.types[x].shape[2 if turned else 1]

    def named(part: str) -> str:
        return f"{part}{number}"

    rows = n.add(named("rows"), Transpose((0, 2, 1)), [x]) if turned else x
    split = n.add(named("split"), Reshape((1, tokens, heads, WIDTH // heads)), [rows])
    split = n.add(named("heads"), Transpose((0, 2, 1, 3)), [split])
    scores = n.add(named("scores"), BatchMatMul(adj_y=True), [split, split], int8((), 0.3, 0))
    shares = n.add(named("attention"), Softmax(), [scores], int8((), 1 / 256, -128))
    mixed = n.add(named("mixed"), BatchMatMul(), [shares, split], int8((), 0.04, 0))
    joined = n.add(named("joined"), Transpose((0, 2, 1, 3)), [mixed])
    joined = n.add(named("result"), Reshape((1, tokens, WIDTH)), [joined])
    joined = n.add(named("turned"), Transpose((0, 2, 1)), [joined]) if turned else joined
    return n.add(named("sum"), Add(), [x, joined], int8((), 0.07, 3))


def model(tokens: int, blocks: int, head: str = "", *, heads: int = 2, turned: bool = False) -> Graph:
    """So many blocks, of a stream whose type is always the same, and a head."""
    n = Nodes()
    x = n.given("x", (1, WIDTH, tokens) if turned else (1, tokens, WIDTH), 0.07, 3)
    for number in range(1, blocks + 1):
        x = block(n, x, number, heads, turned=turned)
    for number, op in enumerate(HEADS.get(head, ())):
        x = n.add(f"head{number}", op, [x])
    return n.graph


def samples(graph: Graph, count: int = 3) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.integers(-128, 128, graph.types["x"].shape, np.int8) for _ in range(count)]


def run(graph: Graph, x: Array) -> dict[str, Array]:
    return interpreter.run(graph, [x])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("text", ["1=4", "attention1=5,first", "2=2", "attention2=8,first", "1=3,first"])
def test_the_most_important_tokens_go_on(text: str, head: str) -> None:
    """As a model of so many tokens would have it, given those of the stream."""
    whole, keep = model(TOKENS, 2, head), Keep.of(text)
    number = int(keep.layer[-1])
    pruned, (found,) = keep_tokens(whole, [keep])
    assert found == Pruned(f"attention{number}", TOKENS, keep.count, keep.first)
    front, behind = model(TOKENS, number), model(keep.count, 2 - number, head)
    for x in samples(whole):
        values = run(front, x)
        importance = values[f"attention{number}"].astype(np.int64).sum(axis=(0, 1, 2))
        if keep.first:
            importance[0] = np.iinfo(np.int64).max
        wanted = np.sort(np.argsort(-importance, kind="stable")[: keep.count])
        result = run(pruned, x)
        (positions,) = (value for name, value in result.items() if name.endswith("keep_tokens/positions"))
        np.testing.assert_array_equal(positions, wanted)
        expected = run(behind, values[f"sum{number}"][:, wanted])[behind.outputs[0]]
        np.testing.assert_array_equal(result[pruned.outputs[0]], expected)


@pytest.mark.parametrize("tokens", [TOKENS, WIDTH])
def test_tokens_are_followed_to_the_axis_where_they_are(tokens: int) -> None:
    """Behind transposes, also where there are as many tokens as features."""
    whole = model(tokens, 2, turned=True)
    pruned, _ = keep_tokens(whole, [Keep("1", 4)])
    assert pruned.types[pruned.outputs[0]].shape == (1, WIDTH, 4)
    x = samples(whole, 1)[0]
    values, result = run(whole, x), run(pruned, x)
    (positions,) = (value for name, value in result.items() if name.endswith("keep_tokens/positions"))
    behind = model(4, 1, turned=True)
    expected = run(behind, np.ascontiguousarray(values["sum1"][:, :, positions]))[behind.outputs[0]]
    np.testing.assert_array_equal(result[pruned.outputs[0]], expected)


def test_several_attentions() -> None:
    """One after the other, in whichever order they are named; nothing behind the first is the source's."""
    whole = model(TOKENS, 3, "mean", heads=3)
    assert attentions(whole) == ["attention1", "attention2", "attention3"]
    pruned, found = keep_tokens(whole, [Keep("3", 2), Keep("1", 6)])
    assert [(each.tokens, each.kept) for each in found] == [(9, 6), (6, 2)]
    assert pruned.types["attention2"].shape == (1, 3, 6, 6) and pruned.macs() < whole.macs()


def test_weights_with_a_scale_for_each_block() -> None:
    """Of a layer on each token: those that are left have the same results."""
    n, rng = Nodes(), np.random.default_rng(2)
    stream = block(n, n.given("x", (1, TOKENS, WIDTH), 0.07, 3), 1, 2)
    n.constant("weights", rng.integers(-8, 8, (4, WIDTH)).astype(np.int8))
    n.constants["factors"] = rng.integers(1, 8, (4, 2)).astype(np.int32)
    n.types |= {"weights": TensorType((4, WIDTH), INT8), "factors": TensorType((4, 2), INT32)}
    rule = exact_requant([Fraction(1, 50)] * 4, [Fraction(0)] * 4, Fraction(1), 0, -128, 127)
    n.add("last", BlockwiseFullyConnected(4, rule), [stream, "weights", "factors"], int8((), 0.1, 0))
    pruned, _ = keep_tokens(n.graph, [Keep("1", 4)])
    x = samples(n.graph, 1)[0]
    result = run(pruned, x)
    (positions,) = (value for name, value in result.items() if name.endswith("keep_tokens/positions"))
    np.testing.assert_array_equal(result["last"], run(n.graph, x)["last"][:, positions])


def of_type(graph: Graph, dtype: DType) -> Graph:
    """The same in floats, or in 16 bits."""
    types = dict[str, TensorType]()
    for name, t in graph.types.items():
        scale = 1 / 32768 if name.startswith("attention") else t.scale / 256
        types[name] = TensorType(t.shape, dtype, None if dtype.is_float else Quantization.per_tensor(scale, 0))
    return replace(graph, types=types)


@pytest.mark.parametrize("dtype", [FLOAT32, INT16], ids=str)
def test_other_types(dtype: DType) -> None:
    """Their sums are floats, or integers of 32 bits."""
    whole = of_type(model(TOKENS, 2, "class"), dtype)
    pruned, _ = keep_tokens(whole, [Keep("1", 4, first=True)])
    rng = np.random.default_rng(3)
    for _ in range(3):
        x = rng.normal(0, 1, (1, TOKENS, WIDTH)) * (1 if dtype.is_float else 2000)
        result = run(pruned, x.astype(dtype.carrier))
        importance = result["attention1"].astype(np.float64).sum(axis=(0, 1, 2))
        (positions,) = (value for name, value in result.items() if name.endswith("keep_tokens/positions"))
        np.testing.assert_array_equal(positions, [0, *np.sort(1 + np.argsort(-importance[1:])[:3])])


def flat(n: Nodes, x: str) -> str:
    return n.add("flat", Reshape((1, TOKENS * WIDTH)), [x])


def placed(n: Nodes, x: str) -> str:
    n.constants["places"] = np.zeros((1, TOKENS, WIDTH), np.int8)
    return n.add("placed", Add(), [x, n.given("places", (1, TOKENS, WIDTH), 0.1, 0)])


def last_token(n: Nodes, x: str) -> str:
    return n.add("last", Take(1, (TOKENS - 1,)), [x])


def around(n: Nodes, x: str) -> str:
    return n.add("around", Add(), [x, "x"])


def nothing(n: Nodes, x: str) -> str:
    return x


BEHIND = {
    flat: "where tokens aren't an axis of their own",
    placed: "placed can't have 4 tokens instead of 9",
    last_token: "last can't have 4 tokens instead of 9",
    nothing: "no value with an axis of its tokens",
    around: "no value with an axis of its tokens that all of the rest of the model passes through",
}


@pytest.mark.parametrize("behind", BEHIND, ids=lambda each: each.__name__)
def test_what_names_single_tokens_is_refused(behind: Callable[[Nodes, str], str]) -> None:
    """With the layer that does."""
    n = Nodes()
    x = block(n, n.given("x", (1, TOKENS, WIDTH), 0.07, 3), 1, 2)
    behind(n, x)
    with pytest.raises(UsageError, match=BEHIND[behind]):
        keep_tokens(n.graph, [Keep("1", 4)])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["1"], "LAYER=K"),
        (["1=four"], "LAYER=K"),
        (["1=4,last"], "LAYER=K"),
        (["3=4"], "no attentions are called '3'.*1: attention1; 2: attention2"),
        (["attention=4"], "2 attentions are called 'attention'"),
        (["1=9"], "9 of 9 tokens of attention1"),
        (["1=1"], "1 of 9 tokens of attention1"),
        (["1=4", "attention1=5"], "names an attention twice"),
    ],
)
def test_wrong_wishes(texts: list[str], message: str) -> None:
    """They say what there is."""
    with pytest.raises(UsageError, match=f"(?s){message}"):
        keep_tokens(model(TOKENS, 2, "mean"), [Keep.of(text) for text in texts])
