"""Attention in front of quantisation: factors, masks and questions for NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.onnx_builder import OnnxBuilder
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize import quantize
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.prepare import prepared
from tinycompile.quantize.qdq import quantized_values
from tinycompile.quantize.scores import bound_masks, lowest_of, masked_softmaxes

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

TOKENS, HEADS, WIDTH = 6, 2, 8
TRIANGLE = np.tril(np.ones((TOKENS, TOKENS), bool))
Masking = Callable[["Block", str], str]


class Block(OnnxBuilder):
    """Attention as PyTorch writes it for opset 20: the root of the factor at both operands."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(3)

    def floats(self, *shape: int) -> str:
        return self.constant(self.rng.normal(0, 0.7, shape), np.float32)

    def number(self, value: float) -> str:
        return self.constant(value, np.float32)

    def head(self, x: str, order: list[int]) -> str:
        rows = self.node("Add", self.node("MatMul", x, self.floats(WIDTH, WIDTH)), self.floats(WIDTH))
        apart = self.constant([1, TOKENS, HEADS, WIDTH // HEADS], np.int64)
        return self.node("Transpose", self.node("Reshape", rows, apart), perm=order)

    def attention(self, masked: Masking) -> onnx.ModelProto:
        x, root = self.input((1, TOKENS, WIDTH)), self.constant([0.7], np.float32)
        q, k = (self.node("Mul", self.head(x, order), root) for order in ([0, 2, 1, 3], [0, 2, 3, 1]))
        shares = masked(self, self.node("MatMul", q, k))
        mixed = self.node("Transpose", self.node("MatMul", shares, self.head(x, [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        rows = self.node("Reshape", mixed, self.constant([1, TOKENS, WIDTH], np.int64))
        self.output(self.node("MatMul", rows, self.floats(WIDTH, WIDTH)))
        return self.model()


def constant_mask(never: float) -> Masking:
    def masked(b: Block, scores: str) -> str:
        mask = b.constant(np.where(TRIANGLE, 0, never), np.float32)
        return b.node("Softmax", b.node("Add", scores, mask), axis=-1)

    return masked


def biased_mask(b: Block, scores: str) -> str:
    """A mask that adds something to what it lets through, too."""
    mask = np.where(TRIANGLE, b.rng.normal(0, 1, TRIANGLE.shape), -np.inf)
    return b.node("Softmax", b.node("Add", b.constant(mask, np.float32), scores), axis=-1)


def chosen_mask(b: Block, scores: str) -> str:
    """Made of truth values, moved and widened, as masked_fill is written."""
    row = b.constant(np.arange(TOKENS)[None] > TOKENS - 2, np.bool_)
    mask = b.node("Where", row, b.number(-np.inf), b.constant(np.zeros((1, TOKENS)), np.float32))
    wide = b.node("Reshape", mask, b.constant([1, 1, 1, TOKENS], np.int64))
    wide = b.node("Expand", wide, b.constant([1, HEADS, 1, TOKENS], np.int64))
    return b.node("Softmax", b.node("Add", scores, wide), axis=-1)


def guarded(b: Block, scores: str) -> str:
    shares = constant_mask(float(np.finfo(np.float32).min))(b, scores)
    return b.node("Where", b.node("Not", b.node("Equal", shares, shares)), b.number(0), shares)


MASKS: dict[str, Masking] = {
    "infinite": constant_mask(-np.inf),
    "lowest": constant_mask(float(np.finfo(np.float32).min)),
    "biased": biased_mask,
    "chosen": chosen_mask,
    "guarded": guarded,
}


def samples(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [{"x": rng.standard_normal((1, TOKENS, WIDTH)).astype(np.float32)} for _ in range(count)]


def graph_of(model: onnx.ModelProto) -> FloatGraph:
    static = static_model(model, "block")
    return prepared(static.proto, static.shapes)


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_choices(name: str) -> None:
    """Of a number low enough, in the steps that scores have; products take the factors."""
    model, data = Block().attention(MASKS[name]), samples(4)
    graph = graph_of(model)
    bounded = bound_masks(graph, data)
    for candidate, tolerance in ((graph, 1e-5), (bounded, 1e-3)):
        for wanted, got in zip(float_outputs(model, data), float_outputs(candidate.model(), data), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
    (where,) = masked_softmaxes(graph)
    assert not list(masked_softmaxes(bounded)), "what is low enough isn't -inf"
    kinds = [node.op_type for node in graph.nodes]
    assert kinds.count("Mul") == 1 and "Equal" not in kinds
    assert kinds.count("Gemm") == 4, "with their biases, rounded once"
    rounded = quantized_values(graph)
    assert where.output[0] in rounded and not {*where.input}.intersection(rounded)


def test_how_low_is_low_enough() -> None:
    scores = np.array([[1.0, -2.0, -np.inf], [-3.0, -np.inf, -np.inf], [-np.inf] * 3])
    assert lowest_of(scores) == pytest.approx(-3 - np.log(3 * 2**12))
    assert lowest_of(scores[2:]) == 0.0


def test_masked_attention_quantises(tmp_path: Path) -> None:
    """onnxruntime 1.32's quantize_static leaves 13.5 dB of such a block, or refuses it."""
    onnx.save(Block().attention(constant_mask(-np.inf)), str(tmp_path / "block.onnx"))
    np.savez(tmp_path / "calib.npz", x=np.concatenate([sample["x"] for sample in samples(24)]))
    assert quantize(tmp_path / "block.onnx", tmp_path / "calib.npz").sqnr > 25
