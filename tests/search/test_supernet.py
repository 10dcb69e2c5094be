"""Networks of a space that share weights; what trains them is skipped where there is no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support.labelled import samples
from tinycompile.errors import UsageError
from tinycompile.search import Network, Space, load_space
from tinycompile.search.prices import Limits, Prices
from tinycompile.search.resolution import averaged, averaging, sample_shape, smaller
from tinycompile.search.shared_weights import inherited, key_of, part_of, shapes_of
from tinycompile.search.space import Config, NoNetwork
from tinycompile.search.tasks import Bench, Result, Setup, Shared, Task
from tinycompile.search.trainer import Recipe


def build(config: Config, shape: tuple[int, ...], classes: int) -> Network:
    """One depth and width mean no network."""
    if config["deep"] == 1 and config["width"] == 4:
        raise NoNetwork("not of this width")
    net = Network(shape).named("stem").conv(int(config["width"]), int(config["kernel"]))
    for layer in range(int(config["deep"])):
        net.named(f"layer_{layer}").depthwise().conv(int(config["width"]))
    return net.named("head").global_average().dense(classes)


SPACE = Space(
    "s", {"width": (2, 4, 6), "deep": (0, 1, 2), "kernel": (1, 3, 5)}, build, "s", ("kernel", "deep", "width")
)
SMALL: Config = {"width": 2, "deep": 1, "kernel": 3}
LARGE: Config = {"width": 6, "deep": 2, "kernel": 5}


def weights_of(proto: Any) -> dict[str, Any]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}


def model(config: Config) -> Any:
    return SPACE.network(config, (1, 8, 8), 3)


def test_a_part_is_the_first_channels_and_the_middle_of_windows() -> None:
    whole = np.arange(6 * 4 * 5 * 5).reshape(6, 4, 5, 5)
    part = whole[part_of(whole.shape, (2, 3, 3, 1))]
    assert (part == whole[:2, :3, 1:4, 2:3]).all()
    assert part_of((8, 4), (3, 4)) == (slice(0, 3), slice(0, 4))


def test_small_networks_inherit_and_larger_ones_keep_what_is_their_own() -> None:
    random = np.random.default_rng(0)
    names = weights_of(model(LARGE))
    shapes = shapes_of([model(SMALL), model(LARGE)], [names, names])
    shared = {key: random.normal(0, 1, shape).astype(np.float32) for key, shape in shapes.items()}
    small = weights_of(inherited(model(SMALL), shared))
    assert (small["stem/weights_0"] == shared["stem/weights_0 4"][:2, :, 1:4, 1:4]).all()
    assert (small["head/weights_0"] == shared["head/weights_0 2"][:, :2]).all()
    only_small = {key: value[tuple(slice(0, 2) for _ in value.shape)] for key, value in shared.items()}
    large, own = weights_of(inherited(model(LARGE), only_small)), weights_of(model(LARGE))
    assert (large["head/weights_0"][:2, :2] == only_small["head/weights_0 2"]).all()
    assert (large["head/weights_0"][2:] == own["head/weights_0"][2:]).all()
    assert key_of("a", (1, 2)) != key_of("a", (1, 2, 3, 4))


def test_all_networks_of_ready_spaces_share_by_rank() -> None:
    """No two tensors of a name have other ranks, and each network is a part of what the largest ones are."""
    random = np.random.default_rng(0)
    for name, shape in (("mobile", (1, 8, 8)), ("plain", (1, 8, 8)), ("separable", (3, 1, 20))):
        space = load_space(name)
        assert set(space.elastic) <= set(space.parameters)
        ranks = dict[str, int]()
        for _ in range(10):
            for key, value in weights_of(space.network(space.sampled(random), shape, 5)).items():
                assert ranks.setdefault(key, value.ndim) == value.ndim


def test_images_are_averaged_to_fewer_pixels() -> None:
    assert averaging(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert averaging(3, 2) == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]))
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 8, 7)).astype(np.float32)
    fewer = averaged(x, (3, 4, 5))
    assert fewer.shape == (2, 3, 4, 5)
    assert fewer.mean((2, 3)) == pytest.approx(x.mean((2, 3)), abs=1e-6)
    assert averaged(x, (3, 8, 7)) is x
    assert (smaller((6, 1, 100), 0.5), smaller((1, 9, 8), 0.5)) == ((6, 1, 50), (1, 4, 4))


def test_a_network_for_fewer_pixels_has_a_price_of_its_own() -> None:
    space = SPACE.at_resolutions((0.5, 1))
    assert (space.elastic[0], space.parameters["resolution"]) == ("resolution", (0.5, 1))
    prices = Prices(space, (1, 8, 8), 3, "stm32f103", Limits())
    less, whole = (prices({"resolution": part, **SMALL}) for part in (0.5, 1))
    assert less.key != whole.key == Prices(SPACE, (1, 8, 8), 3, "stm32f103", Limits())(SMALL).key
    assert less.figures is not None and whole.figures is not None
    assert less.figures["ram_bytes"] < whole.figures["ram_bytes"]
    assert less.figures["instructions"] < whole.figures["instructions"] / 2
    for wrong in ((0.0, 1.0), (2.0,), (1.0, 1.0), (float("nan"),)):
        with pytest.raises(UsageError, match="resolutions"):
            SPACE.at_resolutions(wrong)
    with pytest.raises(UsageError, match="of its own"):
        space.at_resolutions((0.5,))


def test_the_population_fits() -> None:
    prices = Prices(SPACE, (1, 8, 8), 3, "stm32f103", Limits(instructions=60_000))
    found = prices.population(6, 1)
    assert 0 < len(found) <= 6
    assert all(prices(config).fits for config in found)
    assert found == prices.population(6, 1)
    assert not Prices(SPACE, (1, 8, 8), 3, "stm32f103", Limits(instructions=10)).population(2, 1)


class TestTraining:
    """With PyTorch."""

    @pytest.fixture(autouse=True)
    def torch(self) -> Any:
        found = pytest.importorskip("torch")
        found.set_num_threads(1)
        return found

    def test_small_networks_work_without_training_of_their_own(self) -> None:
        from tinycompile.search.supernet import train_supernet, with_inherited
        from tinycompile.search.trainer import accuracy_of

        part = samples((1, 8, 8))
        population = [SMALL, {"width": 4, "deep": 0, "kernel": 1}, {"width": 4, "deep": 1, "kernel": 1}]
        one, same = (train_supernet(SPACE, population, part, 3, Recipe(epochs=3, batch=8), 0) for _ in range(2))
        assert all((same[key] == value).all() for key, value in one.items())
        shared = train_supernet(SPACE, population, part, 3, Recipe(epochs=40, batch=8), 0)
        assert shared["stem/weights_0 4"].shape == (6, 1, 5, 5)
        for config in ({"width": 6, "deep": 2, "kernel": 3}, LARGE):
            small = with_inherited(model(config), shared, part)
            assert accuracy_of(small, part) > 0.6
            mean = weights_of(small)["stem/mean_3"]
            assert (mean != 0).all()
            assert mean == pytest.approx(stem_means(small, part.x), abs=1e-4)

    def test_networks_of_several_resolutions_share_weights(self, torch: Any) -> None:
        from tinycompile.search.supernet import train_supernet, with_inherited
        from tinycompile.search.torch_network import Trainable
        from tinycompile.search.trainer import accuracy_of

        space, part = SPACE.at_resolutions((0.5, 1.0)), samples((1, 8, 8))
        population = [{"resolution": part, **each} for part in (0.5, 1.0) for each in (SMALL, LARGE)]
        shared = train_supernet(space, population, part, 3, Recipe(epochs=30, batch=8), 0)
        for config in population:
            small = with_inherited(space.network(config, (1, 8, 8), 3), shared, part)
            assert sample_shape(small) == ((1, 4, 4) if config["resolution"] == 0.5 else (1, 8, 8))
            assert accuracy_of(small, part) > 0.6
            with torch.no_grad():
                own, averaged = (Trainable(small)(torch.tensor(each.x)) for each in (part.seen_by(small), part))
            assert torch.allclose(own, averaged, atol=1e-4)

    def test_batch_normalisations_allow_a_high_rate(self) -> None:
        """Of all ready spaces but transformers."""
        from tinycompile.search.supernet import Members

        for name, expected in (("plain", True), ("mobile", True), ("separable", True), ("hybrid", False)):
            space = load_space(name)
            members = Members(space, [{key: values[-1] for key, values in space.parameters.items()}], (1, 8, 8), 3)
            assert (name, members.normalized) == (name, expected)
        for dense, expected in ((1, True), (2, False)):
            space = Space("s", {"a": (1,)}, lambda _c, shape, n, dense=dense: _dense(shape, dense, n), "s", ("a",))
            assert Members(space, [{"a": 1}], (8,), 3).normalized is expected

    def test_modules_share_nothing(self, torch: Any) -> None:
        from tinycompile.search.supernet import train_supernet

        space = Space("s", {"a": (1,)}, lambda *_: torch.nn.Flatten(), "s")
        with pytest.raises(UsageError, match="share no weights"):
            train_supernet(space, [{"a": 1}], samples((1, 8, 8)), 3, Recipe(), 0)

    def test_candidates_inherit_from_the_supernet_of_their_fold(self, tmp_path: Path) -> None:
        part = samples((1, 8, 8))
        np.savez(tmp_path / "data.npz", x=part.x, y=part.y)
        setup = Setup("plain", str(tmp_path / "data.npz"), 2, Recipe(epochs=2), None, 0, str(tmp_path), supernet=4)
        bench = Bench.of(setup)
        config = {key: values[0] for key, values in bench.space.parameters.items()}
        for fold in (0, 1, None):
            bench.run(Shared(fold, (config,)))
        files = {Shared.path(tmp_path, fold).read_bytes() for fold in (0, 1, None)}
        assert len(files) == 3
        for fold in (0, 1):
            with np.load(Shared.path(tmp_path, fold)) as file:
                whole = file["stem/weights_0 4"]
            assert (weights_of(bench.model(config, fold))["stem/weights_0"] == whole[:4]).all()
        result = bench.run(Task(0, config, 0.0))
        assert isinstance(result, Result)
        assert len(result.folds) == 2

    def test_five_epochs_teach_the_smallest_networks_as_well(self, tmp_path: Path) -> None:
        """At a candidate's learning rate they teach only the largest: the smallest guess."""
        from tinycompile.search.trainer import accuracy_of

        part = samples((1, 8, 8))
        np.savez(tmp_path / "data.npz", x=part.x, y=part.y)
        recipe = Recipe(epochs=2, batch=8)
        bench = Bench.of(Setup("plain", str(tmp_path / "data.npz"), 2, recipe, None, 0, str(tmp_path), supernet=5))
        population = [{key: values[i] for key, values in bench.space.parameters.items()} for i in (0, 1)]
        bench.run(Shared(0, tuple(population)))
        for config in population:
            assert accuracy_of(bench.model(config, 0), bench.data.folds[0][1]) > 0.9


def _dense(shape: tuple[int, ...], layers: int, classes: int) -> Network:
    net = Network(shape)
    for _ in range(layers):
        net.dense(classes)
    return net


def stem_means(proto: Any, x: Any) -> Any:
    """Of the first convolution's outputs, channel by channel."""
    runtime = pytest.importorskip("onnxruntime")
    cut = onnx.ModelProto()
    cut.CopyFrom(proto)
    name = next(node.output[0] for node in cut.graph.node if node.op_type == "Conv")
    cut.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = runtime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {"input": x})[0].mean((0, 2, 3))
