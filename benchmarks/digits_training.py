"""Learning on the device, on this machine: a digit classifier whose camera is turned by 35 degrees and loses contrast.

`python -m benchmarks.digits_training [--seeds N] [--rates 0.003,0.01] [ROW ...]` prints the accuracy after 800 steps of
one sample each, mean and deviation over seeds, at that of some learning rates which is best on images that are neither
learned from nor measured with. The data is scikit-learn's digits (1,797 images of 8x8 pixels); a small network is
trained on upright ones by PyTorch, quantised to int8 here, and then learns from turned ones by generated C. Needs
scikit-learn, SciPy and PyTorch, which tinycompile doesn't.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import rotate
from sklearn.datasets import load_digits
from torch import nn

from tinycompile.dtypes import INT8, INT32
from tinycompile.host_trainer import HostTrainer
from tinycompile.ir import Array, Graph, Node, Quantization, TensorType, verify
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.reshape import Reshape
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import training_step

STEPS, ANGLE, CONTRAST = 800, 35, 0.6
RATES = (0.005, 0.01, 0.02, 0.04)


def quantized(master: Array) -> Array:
    """int8 weights alone, rounded to the nearest after every step."""
    return ((master.astype(np.int32) + 128) >> 8 << 8).astype(np.int16)


def truncated(master: Array) -> Array:
    """int8 weights alone, truncated towards 0: what TinyEngine's C does."""
    return (np.trunc(master / 256).astype(np.int16) * 256).astype(np.int16)


@dataclass(frozen=True)
class Row:
    """A way to train: a scheme, and what becomes of master weights after each step."""

    scheme: str
    stored: Callable[[Array], Array] | None = None


SPARSE = "depthwise2:0.5, project2:0.5, expand2:0.25, head:0.5, biases"
ROWS = {
    "full": Row("all"),
    "sparse": Row(SPARSE),
    "head": Row("head"),
    "biases": Row("biases"),
    "int8 nearest": Row("all", quantized),
    "TinyEngine's C rule": Row("all", truncated),
    "TinyEngine's C rule, sparse": Row(SPARSE, truncated),
}


@dataclass(frozen=True, eq=False)
class Data:
    """Images (n, 8, 8, 1) in [0, 1] and classes: upright to train with, turned to learn from and to choose a learning
    rate with, both to measure with.
    """

    upright: tuple[Array, Array]
    upright_test: tuple[Array, Array]
    turned: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def data() -> Data:
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    turned = np.clip(rotate(images, ANGLE, axes=(1, 2), reshape=False, order=1) * CONTRAST, 0, 1)
    shaped, changed = images[..., None], turned[..., None].astype(np.float32)
    return Data(
        (shaped[:900], labels[:900]),
        (shaped[1400:], labels[1400:]),
        (changed[900:1300], labels[900:1300]),
        (changed[1300:1400], labels[1300:1400]),
        (changed[1400:], labels[1400:]),
    )


class Network(nn.Module):
    """An inverted bottleneck with a residual between a convolution and a fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.depthwise1 = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project1 = nn.Conv2d(16, 32, 1)
        self.expand2 = nn.Conv2d(32, 64, 1)
        self.depthwise2 = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.project2 = nn.Conv2d(64, 32, 1)
        self.head = nn.Linear(2 * 2 * 32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values(x)["head"]

    def values(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """What each layer results in, NCHW."""
        relu, found = nn.functional.relu, {"input": x}
        found["first"] = relu(self.first(x))
        found["depthwise1"] = relu(self.depthwise1(found["first"]))
        found["project1"] = self.project1(found["depthwise1"])
        found["expand2"] = relu(self.expand2(found["project1"]))
        found["depthwise2"] = relu(self.depthwise2(found["expand2"]))
        found["project2"] = self.project2(found["depthwise2"])
        found["sum"] = found["project1"] + found["project2"]
        found["pool"] = nn.functional.avg_pool2d(found["sum"], 4)
        found["flat"] = found["pool"].permute(0, 2, 3, 1).flatten(1)
        found["head"] = self.head(found["flat"])
        return found


def as_torch(images: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def trained_network(images: Array, labels: Array) -> Network:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), 0.005)
    x, y = as_torch(images), torch.from_numpy(labels)
    for _ in range(25):
        for batch in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
    return network


class Quantizer:
    """The network in int8: activations by their ranges on some images, weights per channel."""

    def __init__(self, network: Network, images: Array) -> None:
        with torch.no_grad():
            values = network.values(as_torch(images))
        self.network, self.constants, self.nodes = network, dict[str, Array](), list[Node]()
        self.types = {name: self._type(value) for name, value in values.items()}
        for name in ("pool", "flat"):  # which TFLite doesn't rescale
            self.types[name] = replace(self.types[name], quant=self.types["sum"].quant)

    def _type(self, value: torch.Tensor) -> TensorType:
        low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
        scale = np.float32((high - low) / 255)
        shape = (1, *value.shape[2:], value.shape[1]) if value.ndim == 4 else (1, value.shape[1])
        return TensorType(shape, INT8, Quantization.per_tensor(float(scale), round(-128 - low / float(scale))))

    def graph(self) -> Graph:
        pad = (1, 1, 1, 1)
        self._layer("first", "input", Conv2D(padding=pad), relu=True)
        self._layer("depthwise1", "first", DepthwiseConv2D(padding=pad), relu=True)
        self._layer("project1", "depthwise1", Conv2D())
        self._layer("expand2", "project1", Conv2D(), relu=True)
        self._layer("depthwise2", "expand2", DepthwiseConv2D(padding=pad), relu=True)
        self._layer("project2", "depthwise2", Conv2D())
        self.nodes.append(Node("sum", Add(), ("project1", "project2"), ("sum",)))
        self.nodes.append(Node("pool", AveragePool2D((4, 4), (4, 4)), ("sum",), ("pool",)))
        self.nodes.append(Node("flat", Reshape(self.types["flat"].shape), ("pool",), ("flat",)))
        self._layer("head", "flat", FullyConnected())
        graph = Graph("digits", ("input",), ("head",), tuple(self.nodes), self.types, self.constants)
        verify(graph)
        return graph

    def _layer(self, name: str, x: str, op: Conv2D | DepthwiseConv2D | FullyConnected, *, relu: bool = False) -> None:
        layer = getattr(self.network, name)
        weights, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        axis = 3 if isinstance(op, DepthwiseConv2D) else 0
        if weights.ndim == 4:
            weights = weights.transpose(1, 2, 3, 0) if axis == 3 else weights.transpose(0, 2, 3, 1)
        others = tuple(i for i in range(weights.ndim) if i != axis)
        scale = (np.abs(weights).max(axis=others) / 127).astype(np.float32)
        shape = [1] * weights.ndim
        shape[axis] = -1
        values = np.clip(np.round(weights / scale.reshape(shape)), -127, 127).astype(np.int8)
        quant = Quantization(scale, np.zeros(scale.size, np.int64), axis)
        self.types[f"{name}_w"], self.constants[f"{name}_w"] = TensorType(values.shape, INT8, quant), values
        steps = self.types[x].scale * scale.astype(np.float64)
        self.constants[f"{name}_b"] = np.round(bias / steps).astype(np.int32)
        self.types[f"{name}_b"] = TensorType(bias.shape, INT32)
        if relu:
            op = replace(op, clamp=(self.types[name].zero_point, 127))
        self.nodes.append(Node(name, op, (x, f"{name}_w", f"{name}_b"), (name,)))


def quantize(images: Array, t: TensorType) -> Array:
    return np.clip(np.round(images / t.scale) + t.zero_point, -128, 127).astype(np.int8)


def accuracy(trainer: HostTrainer, t: TensorType, images: tuple[Array, Array]) -> float:
    found = [int(np.argmax(trainer.predict(image[None])[0])) for image in quantize(images[0], t)]
    return 100 * float(np.mean(np.array(found) == images[1]))


@dataclass(frozen=True)
class Learned:
    """Attributes:
    validation, test: accuracies in %. changed: int8 weights that change in a step, in %.
    """

    validation: float
    test: float
    changed: float = 0.0


def learned(trainer: HostTrainer, graph: Graph, row: Row, rate: float, seed: int, taken: Data) -> Learned:
    """After the steps, from the beginning."""
    trainer.reset()
    trainer.set_learning_rate(rate)
    t = graph.types["input"]
    images, labels = quantize(taken.turned[0], t), taken.turned[1]
    masters = [name for name, values in trainer.states.items() if values.dtype == np.int16]
    before = {name: quantized(trainer.states[name]) for name in masters}
    changed = 0
    for index in np.random.default_rng(seed).integers(0, len(images), STEPS):
        trainer.train(int(labels[index]), images[index : index + 1])
        after = trainer.states
        for name in masters:
            if row.stored is not None:
                after[name] = row.stored(after[name])
                trainer.set_state(name, after[name])
            own = quantized(after[name])
            changed += int((own != before[name]).sum())
            before[name] = own
    total = STEPS * sum(values.size for values in before.values())
    return Learned(
        accuracy(trainer, t, taken.validation), accuracy(trainer, t, taken.test), 100 * changed / max(total, 1)
    )


def float_learned(network: Network, rate: float, seed: int, taken: Data) -> Learned:
    """Plain gradient descent in float32 by PyTorch, from the same weights."""
    own = Network()
    own.load_state_dict(network.state_dict())
    x, y = as_torch(taken.turned[0]), torch.from_numpy(taken.turned[1])
    optimizer = torch.optim.SGD(own.parameters(), rate)
    for index in np.random.default_rng(seed).integers(0, len(x), STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(own(x[index : index + 1]), y[index : index + 1]).backward()
        optimizer.step()
    with torch.no_grad():
        validation, test = (
            100 * float((own(as_torch(images)).argmax(dim=1).numpy() == labels).mean())
            for images, labels in (taken.validation, taken.test)
        )
    return Learned(validation, test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=["float32", *ROWS], metavar="ROW")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", default=",".join(map(str, RATES)))
    arguments = parser.parse_args()
    taken, rates = data(), [float(rate) for rate in arguments.rates.split(",")]
    network = trained_network(*taken.upright)
    graph = Quantizer(network, taken.upright[0]).graph()
    trainers = {
        text: HostTrainer(training_step(graph, read_scheme(text, graph))) for text in {"all", *schemes(arguments.rows)}
    }
    for name, images in (("upright", taken.upright_test), ("turned", taken.test)):
        print(f"before, {name}: {accuracy(trainers['all'], graph.types['input'], images):.1f} %", flush=True)
    print("| trained | accuracy | learning rate | int8 weights that change in a step | bytes of states |")
    print("|---|--:|--:|--:|--:|")
    for name in arguments.rows:
        best, line = -1.0, ""
        for rate in rates:
            if name == "float32":
                runs = [float_learned(network, rate, seed, taken) for seed in range(arguments.seeds)]
                states = 0
            else:
                trainer = trainers[ROWS[name].scheme]
                runs = [learned(trainer, graph, ROWS[name], rate, seed, taken) for seed in range(arguments.seeds)]
                states = sum(values.nbytes for values in trainer.states.values())
            validation, found, moved = np.array([[r.validation, r.test, r.changed] for r in runs]).T
            if validation.mean() > best:
                best = float(validation.mean())
                line = f"{found.mean():.1f} ± {found.std():.1f} | {rate} | {moved.mean():.1f} % | {states:,}"
        print(f"| {name} | {line} |", flush=True)


def schemes(rows: Sequence[str]) -> list[str]:
    return [ROWS[name].scheme for name in rows if name in ROWS]


if __name__ == "__main__":
    main()
