"""Makes a temporal-shift network that tells which way a finger moves along a strip of sensors: ONNX, and samples.

Every layer looks at one frame. Between layers, a quarter of the channels comes from the frame before (J. Lin et al.,
TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, online form): memory, and no arithmetic. The
layers are random features, the last one is fitted to them by least squares, so that NumPy is all that it takes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
FRAMES, SENSORS, CHANNELS, LAYERS = 8, 16, 16, 3
SHIFTED = CHANNELS // 4
CLASSES = ("left", "right")
Floats = NDArray[np.float32]


def swipes(count: int, frames: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """(count, 1, frames, sensors) of a warm spot that moves, and its direction: 0 or 1."""
    direction = rng.integers(0, 2, count)
    speed = rng.uniform(0.6, 1.4, count) * np.where(direction == 1, 1, -1)
    place = rng.uniform(0, SENSORS, count)[:, None] + speed[:, None] * np.arange(frames)
    away = np.abs((np.arange(SENSORS) - place[..., None] + SENSORS / 2) % SENSORS - SENSORS / 2)
    values = np.exp(-(away**2) / 3) + rng.normal(0, 0.05, away.shape)
    return values[:, None].astype(np.float32), direction


def shifted(x: Floats) -> Floats:
    """The first channels come from the frame before; from nothing at the first frame."""
    moved = np.pad(x[:, :SHIFTED, :-1], ((0, 0), (0, 0), (1, 0), (0, 0)))
    return np.concatenate([moved, x[:, SHIFTED:]], axis=1)


def convolved(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """A kernel of 1x3 along the sensors, and ReLU."""
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1)))
    columns = np.stack([padded[..., i : i + SENSORS] for i in range(3)])
    return np.maximum(np.einsum("kncts,ock->nots", columns, weights[:, :, 0]) + bias[:, None, None], 0)


def features(x: Floats, layers: list[tuple[Floats, Floats]]) -> Floats:
    """(windows, channels): the average over the sensors in the last frame."""
    for index, (weights, bias) in enumerate(layers):
        x = convolved(shifted(x) if index else x, weights, bias)
    return x[:, :, -1].mean(axis=2)


def network(layers: list[tuple[Floats, Floats]], readout: tuple[Floats, Floats]) -> bytes:
    """The ONNX model of a whole window."""
    constants = dict[str, NDArray[np.generic]]()
    nodes, x = list[NodeProto](), "frames"

    def vector(name: str, *values: int) -> str:
        constants[name] = np.array(values, np.int64)
        return name

    for i, (weights, bias) in enumerate(layers):
        if i:
            first = [vector("zero", 0), vector("shifted", SHIFTED), vector("channels", 1)]
            rest = [vector("shifted", SHIFTED), vector("all", CHANNELS), vector("channels", 1)]
            nodes.append(helper.make_node("Slice", [x, *first], [f"ahead_{i}"]))
            nodes.append(helper.make_node("Slice", [x, *rest], [f"rest_{i}"]))
            nodes.append(
                helper.make_node("Pad", [f"ahead_{i}", vector("front", 0, 0, 1, 0, 0, 0, 0, 0)], [f"late_{i}"])
            )
            before = [vector("zero", 0), vector("frames_", FRAMES), vector("time", 2)]
            nodes.append(helper.make_node("Slice", [f"late_{i}", *before], [f"before_{i}"]))
            nodes.append(helper.make_node("Concat", [f"before_{i}", f"rest_{i}"], [f"shift_{i}"], axis=1))
            x = f"shift_{i}"
        constants |= {f"weights_{i}": weights, f"bias_{i}": bias}
        operands = [x, f"weights_{i}", f"bias_{i}"]
        nodes.append(helper.make_node("Conv", operands, [f"sums_{i}"], kernel_shape=[1, 3], pads=[0, 1, 0, 1]))
        nodes.append(helper.make_node("Relu", [f"sums_{i}"], [f"layer_{i}"]))
        x = f"layer_{i}"
    last = [vector("last", FRAMES - 1), vector("frames_", FRAMES), vector("time", 2)]
    nodes.append(helper.make_node("Slice", [x, *last], ["newest"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["newest"], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    constants |= {"readout": readout[0], "offset": readout[1]}
    nodes.append(helper.make_node("Gemm", ["flat", "readout", "offset"], ["direction"]))
    graph = helper.make_graph(
        nodes,
        "tsm",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [1, 1, FRAMES, SENSORS])],
        [helper.make_tensor_value_info("direction", TensorProto.FLOAT, [1, len(CLASSES)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def main() -> None:
    rng = np.random.default_rng(0)
    layers = list[tuple[Floats, Floats]]()
    for i in range(LAYERS + 1):
        inputs = CHANNELS if i else 1
        weights = rng.normal(0, 1 / np.sqrt(inputs * 3 / 2), (CHANNELS, inputs, 1, 3)).astype(np.float32)
        layers.append((weights, rng.uniform(-0.2, 0.1, CHANNELS).astype(np.float32)))
    x, y = swipes(2000, FRAMES, rng)
    known = features(x, layers)
    design = np.column_stack([known, np.ones(len(known))])
    target = np.eye(len(CLASSES))[y] * 2 - 1
    fitted = np.linalg.solve(design.T @ design + 1e-3 * np.eye(CHANNELS + 1), design.T @ target).astype(np.float32)
    (HERE / "tsm.onnx").write_bytes(network(layers, (fitted[:-1], fitted[-1])))
    test_x, test_y = swipes(500, FRAMES, rng)
    found = (features(test_x, layers) @ fitted[:-1] + fitted[-1]).argmax(axis=1)
    print(f"{(found == test_y).mean():.0%} of 500 swipes right")
    windows, labels = swipes(64, FRAMES, rng)
    stream = np.concatenate([swipes(1, 12, rng)[0] for _ in range(6)], axis=2)
    np.savez_compressed(HERE / "tsm_windows.npz", input_0=windows[:, None], labels=labels)
    np.savez_compressed(HERE / "tsm_steps.npz", input_0=stream.transpose(2, 0, 1, 3)[:, None, :, :])


if __name__ == "__main__":
    main()
