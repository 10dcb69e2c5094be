"""The trainer: what PyTorch trains is what the file says; skipped where there is no PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from tests.support.labelled import samples
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.search import Network, load_space
from tinycompile.search.space import READY
from tinycompile.search.torch_network import Trainable, as_proto
from tinycompile.search.trainer import Recipe, accuracy_of, one_cycle, train

torch: Any = pytest.importorskip("torch")
torch.set_num_threads(1)  # as workers do: small networks on several threads wait for each other
onnxruntime: Any = pytest.importorskip("onnxruntime")


def networks() -> list[tuple[str, Any]]:
    """One of each ready space, with different values, and one with what these don't have."""
    found = [("pooled", Network((2, 6, 7)).conv(4, (3, 2), (2, 1), activation="relu6").max_pool(2).flatten().dense(3))]
    for name in READY:
        space = load_space(name)
        config = {key: values[min(1, len(values) - 1)] for key, values in space.parameters.items()} | {"blocks": 1}
        found.append((name, space.build(config, (1, 8, 8), 3)))
    return [(name, net.model()) for name, net in found]


def ran(proto: Any, x: Any) -> Any:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize(("name", "proto"), networks())
def test_the_file_computes_what_was_trained(name: str, proto: Any) -> None:
    shape = (2, 6, 7) if name == "pooled" else (1, 8, 8)
    part = samples(shape)
    trained, accuracy = train(proto, part, part, Recipe(epochs=8, batch=8, shift=1, noise=0.1), 0)
    assert accuracy > 0.6
    assert accuracy == accuracy_of(trained, part)
    net = Trainable(trained)
    net.training = False
    with torch.no_grad():
        ours = net(torch.tensor(part.x)).numpy()
    np.testing.assert_allclose(ours, ran(trained, part.x), rtol=1e-3, atol=1e-4)
    assert np.mean(ran(trained, part.x).argmax(1) == part.y) == pytest.approx(accuracy)


def test_a_seed_is_all_that_matters() -> None:
    part, proto = samples((1, 8, 8)), networks()[1][1]
    one, same, other = (train(proto, part, part, Recipe(epochs=2), seed)[0].SerializeToString() for seed in (1, 1, 2))
    assert one == same != other


def test_any_number_of_steps_has_its_rates() -> None:
    for steps in range(1, 12):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
        schedule, rates = one_cycle(torch, optimizer, 0.5, steps), list[float]()
        for _ in range(steps):
            rates.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        assert max(rates) <= 0.5
        assert rates[-1] == min(rates) > 0


def test_training_ends_where_it_is_told_to() -> None:
    asked = list[int]()

    def stop(epoch: int, accuracy: float) -> bool:
        assert 0 <= accuracy <= 1
        asked.append(epoch)
        return epoch == 4

    part = samples((1, 8, 8))
    train(networks()[1][1], part, part, Recipe(epochs=9), 0, stop, 2)
    assert asked == [2, 4]


def test_a_module_of_ones_own() -> None:
    """Its batch normalisation is trained, and the file has what it became."""
    part = samples((1, 8, 8))
    layers = torch.nn
    torch.manual_seed(0)
    module = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1), layers.BatchNorm2d(4), layers.ReLU(), layers.Flatten(), layers.Linear(256, 3)
    )
    trained, accuracy = train(module, part, part, Recipe(epochs=6, batch=8), 0)
    assert accuracy > 0.6
    found = np.concatenate([ran(trained, x[None]) for x in part.x]).argmax(1)
    assert np.mean(found == part.y) == pytest.approx(accuracy)
    assert as_proto(trained, (1, 8, 8)) is trained


def test_a_module_that_takes_other_samples() -> None:
    with pytest.raises(UsageError, match="the module: PyTorch can't export the module: RuntimeError"):
        as_proto(torch.nn.Linear(3, 3), (1, 4, 4))


def test_dilations_are_trained() -> None:
    proto = networks()[0][1]
    proto.graph.node[0].attribute.append(onnx.helper.make_attribute("dilations", [2, 1]))
    x = samples((2, 6, 7)).x
    net = Trainable(proto)
    net.training = False
    with torch.no_grad():
        ours = net(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours, ran(proto, x), rtol=1e-3, atol=1e-4)


def test_products_and_defaults_are_what_onnx_says() -> None:
    b = OnnxBuilder()
    x = b.node("Mul", b.constant(0.5, np.float32), b.input(("n", 2, 6, 7)))
    by_channel = b.node("Mul", x, b.constant(np.array([[[2.0]], [[3.0]]]), np.float32))
    squared = b.node("Mul", by_channel, x)
    b.output(b.node("Softmax", b.node("Flatten", b.node("MaxPool", squared, kernel_shape=[2, 2]))))
    proto, x = b.model(), samples((2, 6, 7)).x
    net = Trainable(proto)
    assert [tuple(each.shape) for each in net.parameters()] == [(2, 1, 1)]
    with torch.no_grad():
        np.testing.assert_allclose(net(torch.tensor(x)).numpy(), ran(proto, x), rtol=1e-3, atol=1e-4)
    proto.opset_import[0].version = 12
    with pytest.raises(UnsupportedError, match="Softmax of opset 12"):
        Trainable(proto)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_constants_of_other_floats_are_named(dtype: Any) -> None:
    proto = networks()[0][1]
    first = proto.graph.initializer[0]
    first.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(first).astype(dtype), first.name))
    with pytest.raises(UnsupportedError, match=f"constant '{first.name}'"):
        Trainable(proto)


@pytest.mark.parametrize(
    ("kind", "attribute", "value"),
    [
        ("MaxPool", "ceil_mode", 1),
        ("MaxPool", "pads", [1, 1, 1, 1]),
        ("Gemm", "alpha", 0.5),
        ("Conv", "auto_pad", "VALID"),
    ],
)
def test_what_the_trainer_would_compute_otherwise_is_named(kind: str, attribute: str, value: Any) -> None:
    proto = networks()[0][1]
    node = next(each for each in proto.graph.node if each.op_type == kind)
    node.attribute.append(onnx.helper.make_attribute(attribute, value))
    with pytest.raises(UnsupportedError, match=f"{kind} with {attribute}"):
        Trainable(proto)
    del node.attribute[-1]
    clip = next(each for each in proto.graph.node if each.op_type == "Clip")
    clip.input[1] = ""
    with pytest.raises(UnsupportedError, match="Clip with 2 operands"):
        Trainable(proto)


def test_an_operator_that_the_trainer_lacks_is_named() -> None:
    proto = networks()[0][1]
    proto.graph.node[0].op_type = "Erf"
    with pytest.raises(UnsupportedError, match="Erf"):
        Trainable(proto)
