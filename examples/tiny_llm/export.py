"""Write `tiny_llm.onnx`, a token's step of the trained model, and samples for tinycompile.

tiny_llm.onnx       token, position and caches in; logits and caches out; weights stored in float16
tiny_llm_calib.npz  token, position (int64 [samples, 1]): pieces of the text that the model was trained on
tiny_llm_text.npz   the same of held-out text, and the characters in the order of their tokens
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from model import CONTEXT, HEAD, HEADS, LAYERS, WIDTH, Llama, rotated
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from train import perplexity, split

HERE = Path(__file__).parent
HIDDEN_SCORE = -1e4
CALIBRATION, HELD_OUT = 16, 16
"""Pieces of CONTEXT tokens."""


class Step(nn.Module):
    """A token's logits, and the caches with its key and value at its position.

    Keys are (HEADS, CONTEXT, HEAD) and values (HEADS, HEAD, CONTEXT): both products then run along memory.
    """

    def __init__(self, model: Llama) -> None:
        super().__init__()
        self.model = model
        for block in model.blocks:
            block.query.weight.data /= HEAD**0.5

    def forward(self, token: Tensor, position: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        model, following = self.model, list[Tensor]()
        x = model.embedding(token)
        angles = model.cosines[position], model.sines[position]
        later = torch.arange(CONTEXT) > position
        for block, keys, values in zip(model.blocks, caches[::2], caches[1::2], strict=True):
            normed = block.attention_norm(x)
            keys = keys.index_copy(1, position, rotated(self.heads(block.key(normed)), *angles))
            values = values.index_copy(2, position, block.value(normed).reshape(HEADS, HEAD, 1))
            scores = rotated(self.heads(block.query(normed)), *angles) @ keys.transpose(1, 2)
            weights = torch.softmax(scores.masked_fill(later, HIDDEN_SCORE), dim=-1)
            x = x + block.output((weights @ values.transpose(1, 2)).reshape(1, WIDTH))
            x = x + block.feed_forward(x)
            following += [keys, values]
        return model.logits(model.norm(x)), *following

    @staticmethod
    def heads(x: Tensor) -> Tensor:
        return x.reshape(HEADS, 1, HEAD)


def cache_names() -> list[str]:
    return [f"{kind}_{layer}" for layer in range(LAYERS) for kind in ("keys", "values")]


def exported(model: Llama) -> onnx.ModelProto:
    names = cache_names()
    shapes = [(HEADS, CONTEXT, HEAD), (HEADS, HEAD, CONTEXT)] * LAYERS
    program = torch.onnx.export(
        Step(model).eval(),
        (torch.tensor([0]), torch.tensor([0]), *map(torch.zeros, shapes)),
        input_names=["token", "position", *names],
        output_names=["logits", *(f"{name}_next" for name in names)],
        opset_version=23,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def halved(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same with its large constants in float16, each of which a Cast makes float32."""
    casts = list[onnx.NodeProto]()
    for constant in proto.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.size > WIDTH:
            name = constant.name
            constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:], proto.graph.value_info[:], proto.graph.metadata_props[:]
    for node in nodes:
        del node.metadata_props[:]
        node.doc_string = ""
    proto.graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    return proto


def pieces(tokens: np.ndarray, count: int, seed: int) -> dict[str, np.ndarray]:
    """Whole contexts from anywhere, one behind the other, as the inputs of their steps."""
    starts = np.random.default_rng(seed).integers(0, len(tokens) - CONTEXT - 1, count)
    chosen = [tokens[start : start + CONTEXT] for start in starts]
    return {"token": np.concatenate(chosen)[:, None], "position": np.tile(np.arange(CONTEXT), count)[:, None]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Export the trained character model.")
    parser.add_argument("--weights", type=Path, default=HERE / "tiny_llm.npz")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    weights = dict(np.load(args.weights))
    characters, train, test = split()
    weights.pop("characters", None)
    model = Llama()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    print(f"perplexity of held-out text {perplexity(model, test):.4f}")
    (args.out / "tiny_llm.onnx").write_bytes(halved(exported(model)).SerializeToString())
    np.savez_compressed(args.out / "tiny_llm_calib.npz", **pieces(train, CALIBRATION, 0))
    held = pieces(test, HELD_OUT, 1)
    np.savez_compressed(args.out / "tiny_llm_text.npz", **held, characters=np.array(list(characters)))


if __name__ == "__main__":
    main()
