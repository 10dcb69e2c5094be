"""`tinycompile.cost`: the figures are those of a build, and typical weights price what any weights cost."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tinycompile
from tests.support.architectures import ARCHITECTURES
from tests.support.graph_build import build_graph
from tests.support.random_model import RandomModel
from tests.support.random_states import with_states
from tinycompile.cli import main
from tinycompile.costing import Cost, cost_of
from tinycompile.elf import sizes
from tinycompile.errors import DoesNotFitError, QuantizationNeededError, TinycompileError, UsageError
from tinycompile.frontend import load
from tinycompile.kernels import Covers, kernels_of
from tinycompile.kernels.cover import matches
from tinycompile.layout import SYSTEM_BYTES
from tinycompile.options import Options
from tinycompile.planner import LayerPlanner
from tinycompile.search import Network
from tinycompile.targets import load_board
from tinycompile.typical import Priced, is_linear, typical, typical_kernels_of
from tinycompile.with_memories import CodePrice, WithMemories

GOLDEN = ("ad01_int8", "kws_ref_model", "ic_resnet8_int8", "vww_96_int8", "mcunet_vww")


def agrees(found: Cost, build: tinycompile.Build) -> None:
    """All that the planner decides is what the build has; the estimates are near."""
    ram, flash, layers = (build.report[key] for key in ("ram", "flash", "layers"))
    assert (found.arena_bytes, found.scratch_bytes, found.state_bytes) == tuple(
        ram[f"{what}_bytes"] for what in ("arena", "scratch", "state")
    )
    assert found.fast_weights_estimate_bytes == pytest.approx(ram["fast_weights_bytes"], rel=0.05)
    assert found.fast_code_estimate_bytes == pytest.approx(ram["fast_code_bytes"], rel=0.35, abs=512)
    assert found.weights_bytes == flash["weights_bytes"]
    assert (found.ram_limit_bytes, found.flash_limit_bytes) == (ram["limit_bytes"], flash["limit_bytes"])
    assert [(layer.name, layer.kernel, layer.instructions, layer.weights_bytes) for layer in found.layers] == [
        (layer["name"], layer["kernel"], layer["instructions_estimate"], layer["weights_bytes"]) for layer in layers
    ]
    assert found.instructions == sum(layer["instructions_estimate"] for layer in layers)
    assert found.macs == build.report["macs"]["executed"]
    assert found.schedule == build.report["schedule"]
    assert ram["stack_bytes"] <= found.stack_estimate_bytes
    assert found.code_estimate_bytes == pytest.approx(flash["code_bytes"], rel=0.35)


@pytest.mark.parametrize("model", GOLDEN)
def test_cost_is_what_a_build_has(model: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    path = shared(f"models/{model}.tflite")
    agrees(tinycompile.cost(path), tinycompile.compile(path, output=tmp_path / "out"))


@pytest.mark.parametrize(
    ("seed", "target", "schedule", "weights"),
    [
        (1, "stm32f746", "auto", "embedded"),
        (2, "mps2-an385", "stream", "embedded"),
        (3, "mps3-an547", "auto", "embedded"),
        (4, "stm32f746", "layer", "separate"),
    ],
)
def test_cost_of_a_random_network(seed: int, target: str, schedule: str, weights: str, tmp_path: Path) -> None:
    content, _ = RandomModel(seed).build(layers=6)
    model = tmp_path / "random.tflite"
    model.write_bytes(content)
    found = tinycompile.cost(model, target, schedule=schedule, weights=weights)
    build = tinycompile.compile(model, target, output=tmp_path / "out", schedule=schedule, weights=weights)
    flash = build.report["flash"]
    assert found.arena_bytes == build.report["ram"]["arena_bytes"]
    assert found.weights_bytes == flash["weights_bytes"]
    assert found.instructions == sum(layer["instructions_estimate"] for layer in build.report["layers"])


@pytest.mark.parametrize("seed", range(3))
def test_states_count(seed: int, tmp_path: Path) -> None:
    graph, options = with_states(seed), Options("stm32f746")
    program = build_graph(graph, tmp_path, options)
    found = cost_of(graph, options.board(), options)
    assert (found.arena_bytes, found.state_bytes) == (program.arena_bytes, program.state_bytes)
    symbols = program.weight_symbols()
    measured = sizes(tmp_path / "firmware.elf", symbols, options.board().toolchain.stored_sections)
    assert found.weights_bytes == measured.weights


@pytest.mark.parametrize("target", ["stm32f746", "mps2-an385", "mps3-an547"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_typical_weights_price_random_ones(name: str, target: str) -> None:
    """Where no channel is constant: RAM and weights exactly, instructions within what two roundings cost.

    At a rate for flash, kernels that cost nearly the same may take each other's place, and layers that are computed
    together may be apart. Without SIMD, groups of packed pixels depend on how large weights are: of others with the
    same distribution by 1 %.
    """
    options = replace(Options(target, schedule="layer"), updatable=True)
    board, rng = options.board(), np.random.default_rng(5)
    for _ in range(3):
        graph = ARCHITECTURES[name](rng)
        exact, typical = cost_of(graph, board, options), cost_of(graph, board, options, exact=False)
        assert typical.arena_bytes == exact.arena_bytes
        weights, instructions = (0.005, 0.002) if board.core.has("dsp") else (0.01, 0.015)
        assert typical.weights_bytes == pytest.approx(exact.weights_bytes, rel=weights)
        known = {layer.name: layer for layer in exact.layers}
        same = [(a, b) for a in typical.layers if (b := known.get(a.name)) and a.kernel == b.kernel]
        assert len(same) >= 0.9 * len(exact.layers)
        found, expected = (sum(layer.instructions for layer in layers) for layers in zip(*same, strict=True))
        assert found == pytest.approx(expected, rel=instructions)
        assert typical.instructions == pytest.approx(exact.instructions, rel=max(0.005, instructions))


@pytest.mark.parametrize("model", GOLDEN)
def test_typical_weights_price_trained_ones(model: str, shared: Callable[[str], Path]) -> None:
    options = replace(Options("stm32f746"), updatable=True)
    graph = load(shared(f"models/{model}.tflite"))
    exact, typical = (cost_of(graph, options.board(), options, exact=exact) for exact in (True, False))
    without_code = {"exact": True, "code_estimate_bytes": 0}
    assert replace(typical, **without_code) == replace(exact, **without_code)
    assert typical.code_estimate_bytes <= exact.code_estimate_bytes  # of equal shapes, some share a function no more


def test_a_typical_price_depends_on_neither_weights_nor_scales_nor_order() -> None:
    options = Options("stm32f746", schedule="layer")
    seeds, board = (1, 2), options.board()
    first, second = (ARCHITECTURES["keyword_spotting"](np.random.default_rng(seed)) for seed in seeds)
    same = replace(first, constants={name: np.zeros_like(value) for name, value in first.constants.items()})
    prices = [cost_of(graph, board, options, exact=False) for graph in (first, second, same)]
    assert prices[0] == prices[2] != prices[1]


def test_a_limit_for_the_flash_is_what_a_model_has_to_fit() -> None:
    graph = ARCHITECTURES["keyword_spotting"](np.random.default_rng(1))
    options = Options("stm32f746", schedule="layer")
    found, limited = (cost_of(graph, options.board(), replace(options, flash=flash)) for flash in (None, 20_000))
    assert found.fits
    assert (limited.flash_limit_bytes, limited.fits) == (20_000, limited.flash_bytes <= 20_000)


@pytest.mark.parametrize("target", ["mps2-an385", "mps3-an547"])
def test_layers_computed_together_have_typical_prices_as_well(target: str) -> None:
    """Looked up by what they are, whatever their weights."""
    core = load_board(target).core
    graph, other = (ARCHITECTURES["image_classification"](np.random.default_rng(4)) for _ in range(2))
    other = replace(other, constants={name: value // 2 for name, value in other.constants.items()})
    covers, again = (Covers(core, offer=typical_kernels_of)(each) for each in (graph, other))
    assert covers
    assert all(a.kernel is b.kernel for a, b in zip(covers, again, strict=True))


def test_what_is_looked_up_keeps_no_weights() -> None:
    """Of thousands of layers: alone, and computed together with the next one."""
    graph = ARCHITECTURES["image_classification"](np.random.default_rng(4))
    layers = [node for node in graph.nodes if is_linear(graph.site(node))]
    nodes = [*layers, *(node for _, node in matches(graph))]
    kept = [(Priced(graph.site(node), load_board("mps2-an385").core).site, graph.site(node)) for node in nodes]
    assert len(nodes) > len(layers)
    for found, site in kept:
        pairs = [
            (a, b) for a, b in zip(found.constants, site.constants, strict=True) if a is not None and b is not None
        ]
        assert pairs
        assert all((a.shape, a.dtype, any(a.strides)) == (b.shape, b.dtype, False) for a, b in pairs)


def test_prices_with_waiting_are_looked_up_as_well() -> None:
    """On a board whose memories make the core wait: whatever the weights; at another price of RAM they are others."""
    board, code = load_board("stm32f746"), CodePrice.of(load_board("stm32f746"), Options("stm32f746"))
    graph = ARCHITECTURES["keyword_spotting"](np.random.default_rng(4))
    other = replace(graph, constants={name: value // 2 for name, value in graph.constants.items()})
    offers = [WithMemories.of(typical_kernels_of, each, board, code) for each in (graph, other)]
    found, again = (
        [kernel for node in each.nodes for kernel in offer(each.site(node), board.core)]
        for each, offer in zip((graph, other), offers, strict=True)
    )
    assert all(a is b for a, b in zip(found, again, strict=True))
    assert any(kernel.copies is not None for kernel in found)
    dearer = WithMemories.of(typical_kernels_of, graph, board, replace(code, byte=1e3))
    assert any(
        a.price < b.price
        for node in graph.nodes
        for a, b in zip(offers[0](graph.site(node), board.core), dearer(graph.site(node), board.core), strict=False)
    )


def test_memory_that_is_too_small_is_not_planned_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """96x96 floats never fit the fastest memory of this chip: its limit isn't tried, the next one's is."""
    limits, plan = [], LayerPlanner.plan

    def counted(planner: LayerPlanner, *, ram_limit: int | None, optimize: str, scratch_limit: int | None = None):
        limits.append(ram_limit)
        return plan(planner, ram_limit=ram_limit, optimize=optimize, scratch_limit=scratch_limit)

    monkeypatch.setattr(LayerPlanner, "plan", counted)
    graph = ARCHITECTURES["wake_words_float32"](np.random.default_rng(0))
    found = tinycompile.cost(graph, "stm32f746", exact=False, schedule="layer")
    assert limits[0] == (256 << 10) and (64 << 10) - SYSTEM_BYTES not in limits
    assert found.arena_bytes <= limits[0]
    limits.clear()
    with pytest.raises(DoesNotFitError, match="its arena needs at least"):
        tinycompile.cost(graph, "stm32f746", exact=False, schedule="layer", ram=64 * 1024)


def test_a_typical_price_has_typical_values_and_no_smaller_choice() -> None:
    graph, core = ARCHITECTURES["keyword_spotting"](np.random.default_rng(3)), load_board("stm32f746").core
    site = graph.site(graph.nodes[1])
    assert is_linear(site)
    priced, real = typical_kernels_of(site, core), kernels_of(site, core)
    assert [(k.variant, k.instructions, k.constant_bytes, k.scratch_bytes) for k in priced] == [
        (k.variant, k.instructions, k.constant_bytes, k.scratch_bytes) for k in real
    ]
    typical_kernels = kernels_of(typical(site), core)
    for kernel, made in zip(priced, typical_kernels, strict=True):  # who asks for a price's values has them made again
        for constant, other in zip(kernel.constants, made.constants, strict=True):
            assert np.array_equal(constant.values, other.values)


def test_time_is_the_cores_alone_and_names_what_may_wait() -> None:
    graph = ARCHITECTURES["keyword_spotting"](np.random.default_rng(0))
    found = tinycompile.cost(graph, "stm32f746", exact=False)
    low, high = found.cycles_per_instruction
    assert found.core_milliseconds == pytest.approx(1e3 * low * found.instructions / 216e6)
    waiting = [1e3 * cycles / 216e6 for cycles in found.waiting_cycles]
    assert found.fastest_milliseconds == pytest.approx(found.core_milliseconds + waiting[0])
    assert found.slowest_milliseconds == pytest.approx(1e3 * high * found.instructions / 216e6 + waiting[1])
    assert 0 < waiting[0] <= waiting[1]
    assert found.fits
    assert tinycompile.cost(graph, "host", exact=False).core_milliseconds is None


def test_what_does_not_fit_is_an_error() -> None:
    graph = ARCHITECTURES["wake_words"](np.random.default_rng(0))
    with pytest.raises(DoesNotFitError):
        tinycompile.cost(graph, "stm32f746", ram=1024, exact=False)
    assert gc.isenabled()
    with pytest.raises(UsageError, match="optimize"):
        tinycompile.cost(graph, optimize="fast")


def test_command(shared: Callable[[str], Path]) -> None:
    path = str(shared("models/kws_ref_model.tflite"))
    done = CliRunner().invoke(main, ["cost", path, "--target", "stm32f103", "--json"])
    assert done.exit_code == 0, done.output
    (facts,) = json.loads(done.stdout)
    assert facts["arena_bytes"] == tinycompile.cost(path, "stm32f103").arena_bytes
    assert {"ram_bytes", "flash_bytes", "instructions", "core_milliseconds", "slowest_milliseconds"} <= facts.keys()
    text = CliRunner().invoke(main, ["cost", path, "--target", "stm32f103"]).stdout
    assert f"{facts['instructions']:,} instructions" in text
    assert "kws_ref_model for stm32f103" in text


def test_a_float_model_is_priced_as_if_it_were_quantised(tmp_path: Path) -> None:
    model, calib = tmp_path / "small.onnx", tmp_path / "calib.npz"
    network = Network((2, 6, 6)).conv(8, 3).depthwise(3, 2).conv(12).global_average().dense(3)
    onnx.save(network.model(), model)
    np.savez(calib, input=np.random.default_rng(0).normal(0, 1, (8, 2, 6, 6)).astype(np.float32))
    found = tinycompile.cost(model, "stm32f103")
    known = tinycompile.cost(model, "stm32f103", calib=calib, calib_method="minmax")
    assert (found.assumed, found.exact, known.assumed) == (True, False, False)
    assert (found.arena_bytes, found.macs) == (known.arena_bytes, known.macs)
    assert found.instructions == pytest.approx(known.instructions, rel=0.03)
    done = CliRunner().invoke(main, ["cost", str(model), "--target", "stm32f103"])
    assert done.output.splitlines()[1].startswith("  assumed quantised to int8")
    assert not tinycompile.cost(model, "stm32f103", dtype="float32").assumed
    with pytest.raises(QuantizationNeededError):
        tinycompile.cost(model, strict_int8=True)
    with pytest.raises(UsageError, match="compressed weights") as caught:
        tinycompile.cost(model, compress_weights=True)
    assert str(model) in str(caught.value)


def test_what_can_not_be_quantised_is_refused_by_its_own_name(tmp_path: Path) -> None:
    model = tmp_path / "other.onnx"
    node = onnx.helper.make_node("Det", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", [2, 2]), ("y", []))]
    graph = onnx.helper.make_graph([node], "other", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), model)
    with pytest.raises(TinycompileError) as caught:
        tinycompile.cost(model)
    assert str(model) in str(caught.value)
    assert "tinycompile-" not in str(caught.value)
