"""Spaces and prices of untrained networks: a candidate's price is that of the model that calibration makes of it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

import tinycompile
from tinycompile import costing
from tinycompile.costing import cost_of
from tinycompile.errors import DoesNotFitError, UsageError
from tinycompile.frontend import load
from tinycompile.lowered import Lowered
from tinycompile.lowering import place
from tinycompile.measuring import Whole
from tinycompile.options import Options
from tinycompile.passes.io import int8_io
from tinycompile.progress import listening
from tinycompile.quantize import quantize
from tinycompile.search import Network, NoNetwork, Space, load_space
from tinycompile.search.prices import Limits, Prices
from tinycompile.search.pricing import price
from tinycompile.search.resolution import sample_shape
from tinycompile.search.space import READY
from tinycompile.toolchain import RegionOverflowError

SHAPES = {"mobile": (1, 8, 8), "plain": (1, 8, 8), "separable": (3, 1, 20), "hybrid": (1, 8, 8)}

ROLES = ("weights", "scale", "shift", "mean", "variance")


@pytest.mark.parametrize("name", READY)
def test_ready_spaces_have_networks_of_the_shapes_that_they_say(name: str) -> None:
    space, random = load_space(name), np.random.default_rng(0)
    for _ in range(12):
        try:
            model = space.network(space.sampled(random), SHAPES[name], 5)
        except NoNetwork:
            continue
        onnx.checker.check_model(model)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
        (output,) = inferred.output
        assert [d.dim_value for d in output.type.tensor_type.shape.dim][1:] == [5]


@pytest.mark.parametrize("name", READY)
def test_a_price_is_that_of_the_calibrated_model(name: str, tmp_path: Path) -> None:
    """With the same typical weights: the graph that is priced has the same layers as the one that is built."""
    space, options = load_space(name), Options("stm32f103", io="int8", schedule="layer")
    few = {key: values[1] if len(values) > 1 else values[0] for key, values in space.parameters.items()}
    model, board = space.network(few | ({"blocks": 1} if name == "hybrid" else {}), SHAPES[name], 5), options.board()
    found = price(model, board, options)
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "calib.npz", input_0=np.random.default_rng(0).normal(0, 1, (4, *SHAPES[name])).astype("f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnx.save(quantize(tmp_path / "model.onnx", tmp_path / "calib.npz", method="minmax").proto, tmp_path / "q.onnx")
    real = cost_of(int8_io(load(tmp_path / "q.onnx")), board, options, exact=False)
    assert [(layer.op, layer.kernel) for layer in found.layers] == [(layer.op, layer.kernel) for layer in real.layers]
    assert (found.arena_bytes, found.weights_bytes) == (real.arena_bytes, real.weights_bytes)
    assert found.instructions == pytest.approx(real.instructions, rel=0.01)


def test_a_price_is_near_what_the_firmware_has_and_executes(tmp_path: Path) -> None:
    """RAM exactly; the rest as `make bench-search-prices` finds for others."""
    net = Network((1, 9, 8)).conv(8, 3).depthwise(3).conv(12).depthwise(5, 2).conv(24).depthwise(3)
    model, options = net.global_average().dense(5).model(), Options("stm32f103", io="int8")
    found = price(model, options.board(), options)
    onnx.save(model, tmp_path / "model.onnx")
    np.savez(tmp_path / "calib.npz", input_0=np.random.default_rng(0).normal(0, 1, (4, 1, 9, 8)).astype("f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = {"calib": tmp_path / "calib.npz", "calib_method": "minmax", "io": "int8"}
        build = tinycompile.compile(tmp_path / "model.onnx", "stm32f103", output=tmp_path / "out", **samples)
    ram, flash = build.report["ram"], build.report["flash"]
    assert (found.arena_bytes, found.scratch_bytes) == (ram["arena_bytes"], ram["scratch_bytes"])
    assert found.flash_bytes == pytest.approx(flash["total_bytes"], rel=0.06)
    (executed,) = build.execute([np.zeros((1, 1, 1, 9, 8), np.int8)]).instructions
    assert found.instructions == pytest.approx(executed, rel=0.03)


def test_a_price_depends_on_no_weights() -> None:
    options = Options("stm32f103", io="int8", schedule="layer")
    nets = [Network((1, 8, 8), seed=seed).conv(8, 3).depthwise().global_average().dense(3) for seed in (1, 2)]
    one, other = (price(net.model(), options.board(), options) for net in nets)
    assert one == other


SPACE = """
PARAMETERS = {"width": [4, 8], "deep": [True, False]}


def build(config, shape, classes):
    from tinycompile.search import Network

    net = Network(shape).conv(config["width"], 3)
    return net.global_average().dense(classes)
"""


def test_a_space_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SPACE)
    space = load_space(str(file))
    assert (space.name, space.size) == ("mine", 4)
    file.write_text("import numpy\n" + SPACE + '\nPARAMETERS["width"] = list(numpy.arange(8, 17, 8))\n')
    assert [type(value) for value in load_space(str(file)).parameters["width"]] == [int, int]
    narrow = space.restricted({"width": [8]})
    assert narrow.size == 2
    assert narrow.network({"width": 8, "deep": True}, (1, 4, 4), 2).graph.output[0].name == "output"
    with pytest.raises(UsageError, match="no width=16 in the space"):
        space.restricted({"width": [16]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("PARAMETERS = {}\n", "lacks PARAMETERS or build"),
        ("PARAMETERS = {'a': 3}\ndef build(): ...\n", r"PARAMETERS\['a'\] is no list"),
        ("PARAMETERS = {'a': [1, 1]}\ndef build(): ...\n", "no numbers or texts, or twice"),
        ("PARAMETERS = {'a': [1, float('nan')]}\ndef build(): ...\n", "no numbers or texts, or twice"),
        ("raise RuntimeError('no')\n", "RuntimeError: no"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_what_is_no_space_says_so(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(content)
    with pytest.raises(UsageError, match=message):
        load_space(str(tmp_path / "space.py"))
    with pytest.raises(UsageError, match="no space 'nothing'"):
        load_space("nothing")


def open_sizes(config: Any, shape: tuple[int, ...], classes: int) -> Any:
    """A network whose file says no rows and columns, as exporters write them."""
    proto = Network(shape).conv(2, 3).global_average().dense(classes).model()
    for size in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_param = "size"
    return proto


@pytest.mark.parametrize(("resolutions", "seen"), [((), (1, 6, 4)), ((0.5,), (1, 3, 2))])
def test_sizes_that_a_model_leaves_open_are_the_samples(resolutions: tuple[float, ...], seen: tuple[int, ...]) -> None:
    space = Space("s", {"a": (1,)}, open_sizes, "mine.py")
    space = space.at_resolutions(resolutions) if resolutions else space
    config = {name: values[0] for name, values in space.parameters.items()}
    proto = space.network(config, (1, 6, 4), 3)
    assert sample_shape(proto) == seen
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert Prices(space, (1, 6, 4), 3, "stm32f103", Limits())(config)


def choice(build: Any) -> Prices:
    return Prices(Space("s", {"a": (1,)}, build, "mine.py"), (1, 4, 4), 3, "stm32f103", Limits())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda *_: 1 // 0, "mine.py with a=1: build fails: ZeroDivisionError"),
        (lambda *_: sys.exit(3), "build fails: SystemExit"),
        (lambda: None, "build fails: TypeError"),
        (lambda *_: print, "build returns builtin_function_or_method"),
        (lambda config, shape, classes: Network(shape).max_pool((2, 5)), "windows of 2x5 in an image of 4x4"),
        (lambda config, shape, classes: Network(shape).conv(2), r"from \(1, 1, 4, 4\) to \(1, 2, 4, 4\)"),
        (lambda config, shape, classes: Network(shape).flatten().dense(classes - 1), r"to \(1, 2\)"),
        (lambda config, shape, classes: Network((1, 9, 9)).flatten().dense(classes), r"from \(1, 1, 9, 9\)"),
    ],
)
def test_a_build_that_fails_or_builds_something_else(build: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choice(build)({"a": 1})


@pytest.mark.parametrize(("limit", "takes", "instructions"), [(None, 60_000, 7), (1, 0, 0), (None, 65_537, 0)])
def test_networks_near_enough_to_the_limits_are_measured(
    limit: int | None, takes: int, instructions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once they are planned; what the linker has no room for keeps its estimate, and doesn't fit."""
    planned, measured = list[str](), list[str]()

    def placed(*arguments: Any) -> Any:
        planned.append("once")
        return place(*arguments)

    def whole(models: list[Lowered], *_: Any) -> Whole:
        measured.append(models[0].name)
        if takes > 65_536:
            raise RegionOverflowError(["region `FLASH' overflowed by 1 bytes"])
        return Whole(instructions, 1, 2, 3, 4, 0, takes)

    monkeypatch.setattr(costing, "place", placed)
    monkeypatch.setattr(costing, "measured_whole", whole)
    space = Space("s", {"a": (1,)}, lambda config, shape, classes: Network(shape).flatten().dense(classes), "mine.py")
    said = list[str]()
    prices = Prices(space, (1, 4, 4), 3, "stm32f103", Limits(instructions=limit), "whole", title="s: ")
    with listening(said.append):
        found, estimate = prices({"a": 1}), prices.unmeasured()({"a": 1})
    assert found.fits == (instructions > 0) and found.figures is not None and estimate.figures is not None
    assert found.figures["instructions"] == (instructions or estimate.figures["instructions"])
    assert (len(planned), measured) == (2, ["best"] if takes else [])
    assert [each for each in said if "fit" in each] == [
        f"s: priced 1 networks, of which {int(fits)} fit" for fits in (found.fits, estimate.fits)
    ]


def test_what_fits_nowhere_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def priced(proto: Any, *_: Any) -> Any:
        size = proto.graph.initializer[0].dims[0]
        if size == 9:
            raise DoesNotFitError("no room")
        names = (
            "ram_bytes",
            "flash_bytes",
            "instructions",
            "ram_limit_bytes",
            "flash_limit_bytes",
            "macs",
            "weights_bytes",
        )
        return SimpleNamespace(**{name: 1000 * (size + place) for place, name in enumerate(names)})

    monkeypatch.setattr("tinycompile.search.prices.price", priced)
    values = (4, 5, 9)
    space = Space("s", {"a": values}, lambda config, shape, _: Network(shape).dense(config["a"]), "mine.py")
    prices = Prices(space, (3,), 3, "stm32f103", Limits(instructions=1))
    assert "why" not in str(prices.nothing_fits())
    assert not any(prices({"a": value}).fits for value in values)
    least = "the least of 2 networks: 4,000 bytes of RAM, 5,000 of flash, 6,000 instructions; no room for the values"
    assert f"{least} of 1" in str(prices.nothing_fits())


def test_a_build_may_do_with_its_choice_what_it_likes() -> None:
    given = {"a": 1}
    assert choice(lambda config, shape, classes: Network(shape).flatten().dense(2 + config.pop("a")))(given).fits
    assert given == {"a": 1}


def test_elastic_parameters_are_numbers_of_the_space(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SPACE + '\nELASTIC = ("width",)\n')
    assert load_space(str(file)).restricted({"deep": [True]}).elastic == ("width",)
    for wrong, message in (('("deep",)', "has 'deep'"), ('("depth",)', "has 'depth'"), ('"width"', "is no list")):
        file.write_text(SPACE + f"\nELASTIC = {wrong}\n")
        with pytest.raises(UsageError, match=message):
            load_space(str(file))


def test_layers_have_names_of_their_own() -> None:
    net = Network((1, 8, 8)).named("stem").conv(4, 3).named("head").global_average().dense(2)
    names = [each.name for each in net.model().graph.initializer]
    assert names == [*(f"stem/{role}_{i}" for i, role in enumerate(ROLES)), "head/weights_0", "head/bias_1"]
    with pytest.raises(ValueError, match="a second layer named 'stem'"):
        net.named("stem")


@pytest.mark.parametrize("name", READY)
def test_samples_without_rows_and_columns_are_said(name: str) -> None:
    space = load_space(name)
    config = {key: values[0] for key, values in space.parameters.items()}
    with pytest.raises(UsageError, match=r"samples of shape \(192,\) have no rows and columns\n.*\n  try: x \(count"):
        space.network(config, (192,), 3)


def test_a_network_that_is_none() -> None:
    def build(_config: object, _shape: object, _classes: int) -> int:
        return 3

    with pytest.raises(UsageError, match="build returns int"):
        Space("s", {"a": (1,)}, build, "s").network({"a": 1}, (1,), 2)
    with pytest.raises(NoNetwork):
        load_space("hybrid").network(
            {"stem": 8, "layers": 1, "patch": 1, "width": 16, "heads": 1, "blocks": 1, "expansion": 1}, (1, 32, 32), 2
        )
    with pytest.raises(ValueError, match="isn't a multiple of 3 heads"):
        Network((4, 8)).attention(3)
    with pytest.raises(ValueError, match="unknown activation"):
        Network((4,)).activation("swish")
