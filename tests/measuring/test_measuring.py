"""Layers measured alone: what they are known by, what they take, and what a network is said to take by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.architectures import Net
from tests.support.full import FULL
from tests.support.random_model import RandomModel
from tinycompile import costing, interpreter
from tinycompile.dtypes import INT8
from tinycompile.errors import UsageError
from tinycompile.ir import Graph, Quantization, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.measuring import Measures, Whole, known, measured_network, whole
from tinycompile.measuring.firmware import Measured
from tinycompile.measuring.fixed import Firmware, Fixed
from tinycompile.measuring.network import (
    Measurement,
    _sharing,  # pyright: ignore[reportPrivateUsage]
    _with_values,  # pyright: ignore[reportPrivateUsage]
)
from tinycompile.measuring.unit import units_of
from tinycompile.object_file import Section
from tinycompile.options import Options
from tinycompile.planner import LayerPlanner, Planned
from tinycompile.samples import noise, pattern
from tinycompile.targets import Board, load_board
from tinycompile.typical import typical_kernels_of


@pytest.fixture(scope="module")
def board() -> Board:
    return load_board("stm32f103")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Net((1, 6, 6, 4), np.random.default_rng(5)).conv(8, 3).conv(8, 3).graph("two")


@pytest.fixture(scope="module")
def measures(board: Board, graph: Graph) -> Measures:
    """Of which the first layer is known."""
    found = Measures(board)
    unit = units_of(planned(graph, board))[0]
    assert unit is not None and found.get(unit) is None
    assert found.measure([unit, unit]) == 2  # with what a model has without layers
    return found


def planned(graph: Graph, board: Board, *, typical: bool = False) -> Planned:
    offer = typical_kernels_of if typical else kernels_of
    kernels = [offer(graph.site(node), board.core)[:1] for node in graph.nodes]
    return LayerPlanner(graph, kernels).plan(ram_limit=None, optimize="speed")


def test_a_layer_is_measured_once(measures: Measures, board: Board, graph: Graph) -> None:
    first, second = units_of(planned(graph, board))
    assert first is not None and second is not None
    assert measures.measure([first]) == 0
    found, base = Measures(board).get(first), measures.get(measures.nothing)
    assert found is not None and base is not None and measures.get(second) is None
    assert found.instructions - base.instructions == pytest.approx(first.kernel.instructions, rel=0.3)
    assert first.kernel.function is not None and found.functions[0] == first.kernel.function.stem
    assert {section.name for section in found.sections if section.is_code} == set(found.functions)
    assert found.stack_bytes > base.stack_bytes and found.caller_bytes > base.caller_bytes
    assert Measured.of_json(found.as_json()) == found


def test_what_is_not_known_stays_an_estimate(measures: Measures, board: Board, graph: Graph) -> None:
    plan = planned(graph, board)
    found = measured_network(plan, measures, missing=False)
    assert found is not None
    assert found.known == (True, False) and not found.complete
    assert found.instructions()[0] != plan.kernels[0].instructions
    assert found.instructions()[1] == plan.kernels[1].instructions


def test_keys_tell_apart_what_decides(board: Board, graph: Graph) -> None:
    unit = units_of(planned(graph, board))[0]
    assert unit is not None
    other = {name: value[::-1].copy() for name, value in graph.constants.items()}
    trained = units_of(planned(replace(graph, constants=other), board))[0]
    assert trained is not None and trained.key != unit.key
    assert replace(unit, shared=frozenset({"tc_block_copy"})).key != unit.key
    typical = [
        units_of(planned(g, board, typical=True), typical=True)[0] for g in (graph, replace(graph, constants=other))
    ]
    assert typical[0] is not None and typical[1] is not None
    assert typical[0].key == typical[1].key != unit.key  # any weights


def test_functions_are_there_once(measures: Measures, board: Board, graph: Graph) -> None:
    plan, base = planned(graph, board), measures.get(measures.nothing)
    assert base is not None
    first, second = (kernel.function for kernel in plan.kernels)
    assert first is not None and second is not None
    again = replace(second, stem=first.stem)  # another function with the same name, as two layers for one shape have
    kernels = plan.kernels[0], replace(plan.kernels[1], function=again), plan.kernels[0]
    shared, own = Section("tc_block_copy", 10, "a", True), Section(first.stem, 6, "b", True)
    facts = (first.stem, "tc_block_copy"), (own, shared), ("memcpy",), True, base.instructions + 7
    layer = Measured(base.instructions + 5, 40, base.caller_bytes + 20, *facts)
    found = Measurement(replace(plan, kernels=kernels), (layer,) * 3, base, measures)
    assert found.sizes == {first.stem: 8, f"{first.stem}.1": 8, "tc_block_copy": 12}
    assert [names[0] for names in found.functions] == [first.stem, f"{first.stem}.1", first.stem]
    assert found.instructions() == (5, 5, 5) and found.instructions({first.stem}) == (7, 5, 7)
    assert found.library == {"memcpy"}
    assert found.far_calls({first.stem}) == (8, 8) and found.far_calls(set()) == (0, 0)


def test_what_follows_from_values_is_measured_with_those_of_the_model(board: Board, graph: Graph) -> None:
    """Of weights that there are; of typical ones half of what is behind a ReLU is zero."""
    plan = planned(graph, board)
    units, (first, second) = units_of(plan), graph.nodes
    measured = Measured(9, 40, 20, ("f",), (), ("__aeabi_fadd",))
    assert _with_values(units, [measured, None], plan, typical=False) == units
    varying = replace(measured, varies=True)
    found = _with_values(units, [measured, varying], plan, typical=False)
    assert found[0] == units[0] and found[1] is not None and units[1] is not None
    values = interpreter.run(graph, [noise(graph.types[name])[0] for name in graph.inputs])
    assert np.array_equal(found[1].values[0], values[first.outputs[0]]) and found[1].key != units[1].key
    for zero, part in ((-128, 0.5), (3, 0.0)):
        behind = TensorType(graph.types[second.inputs[0]].shape, INT8, Quantization.per_tensor(0.1, zero))
        unit = replace(units[1], graph=replace(units[1].graph, types={**graph.types, second.inputs[0]: behind}))
        (typical,) = _with_values([unit], [varying], plan, typical=True)
        assert typical is not None and np.mean(typical.values[0] == -128) == pytest.approx(part, abs=0.1)


def test_functions_for_one_shape_share_what_is_compiled_alike(measures: Measures, board: Board, graph: Graph) -> None:
    units = units_of(planned(graph, board))
    function = units[0].kernel.function if units[0] is not None else None
    assert function is not None
    alike = Measured(9, 40, 20, (function.stem, "f"), (Section("f", 8, "a", True),), ())
    other = replace(alike, sections=(Section("f", 8, "b", True),))
    for second, shared in ((alike, {function.stem}), (other, {function.stem, "f"})):
        found = _sharing([units[0], units[0]], [alike, second])
        assert [unit and unit.shared for unit in found] == [shared, shared]


def test_a_firmware_without_layers_is_known_by_its_files(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of the board, which are its user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = list[Firmware]()

    def built_now(printed: Firmware) -> Fixed:
        built.append(printed)
        return Fixed(len(built), 0, 0, 0)

    monkeypatch.setattr(known, "fixed", built_now)
    source = tmp_path / "own.c"
    changed = replace(board, sources=(*board.sources, source))
    for text, expected in (("int a;\n", 1), ("int a;\n", 1), ("int a, b;\n", 2)):
        source.write_text(text)
        measures = Measures(changed)
        for _ in range(2):
            assert measures.fixed(Layout.simple(changed), ["memcpy"], None).flash_bytes == expected
    assert len(built) == 2


def test_what_nothing_emulates_is_not_measured(graph: Graph) -> None:
    with pytest.raises(UsageError, match="can't be measured for host"):
        tinycompile.cost(graph, "host", measure="all")
    with pytest.raises(UsageError, match="the network can't be measured for host"):
        tinycompile.cost(graph, "host", measure="whole")
    with pytest.raises(UsageError, match="with weights apart"):
        tinycompile.cost(graph, "stm32f103", measure="known", weights="separate")


def test_a_network_as_a_whole_is_its_firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes of it, whatever functions share; and it is built once."""
    content, _ = RandomModel(3).build(layers=3)
    model = tmp_path / "net.tflite"
    model.write_bytes(content)
    found = tinycompile.cost(model, "stm32f103", measure="whole")
    report = tinycompile.compile(model, "stm32f103", output=tmp_path / "out", pareto=False).report
    ram, flash = report["ram"], report["flash"]
    assert found.compiled and found.instructions_range == (found.instructions, found.instructions)
    assert found.instructions != tinycompile.cost(model, "stm32f103").instructions
    assert (found.ram_bytes, found.flash_bytes) == (ram["total_bytes"], flash["total_bytes"])
    assert found.weights_bytes == flash["weights_bytes"]
    assert (found.stack_estimate_bytes, found.other_estimate_bytes) == (ram["stack_bytes"], ram["other_bytes"])
    copies = ram["fast_code_bytes"], ram["fast_weights_bytes"]
    assert (found.fast_code_estimate_bytes, found.fast_weights_estimate_bytes) == copies
    monkeypatch.setattr(whole, "_measured", None)
    assert tinycompile.cost(model, "stm32f103", measure="whole") == found


def test_a_whole_network_in_too_little_flash_is_planned_again(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less flash for its layers, as a build is; what is larger then still is the last one's."""
    asked = list[Options]()

    def too_large(_models: list[Lowered], _layout: Layout, _board: Board, options: Options) -> Whole:
        asked.append(options)
        return Whole(7, 1, 2, 3, 4, 50, 60_000)

    monkeypatch.setattr(costing, "measured_whole", too_large)
    found = tinycompile.cost(graph, "stm32f103", measure="whole", flash=60_000)
    assert [(each.flash_spare, each.optimize) for each in asked] == [
        (0, "balanced"),
        (50, "balanced"),
        (100, "balanced"),
        (0, "size"),
    ]
    assert (found.flash_bytes, found.instructions, found.fits) == (60_050, 7, False)


@pytest.mark.skipif(not FULL, reason="builds each layer, and the whole: make test-full")
@pytest.mark.parametrize(("seed", "target"), [(1, "stm32f103"), (2, "stm32f746"), (5, "rp2040")])
def test_a_network_by_its_layers_is_its_firmware(seed: int, target: str, tmp_path: Path) -> None:
    content, _ = RandomModel(seed).build(layers=6)
    model = tmp_path / "net.tflite"
    model.write_bytes(content)
    found = tinycompile.cost(model, target, measure="all")
    build = tinycompile.compile(model, target, output=tmp_path / "out", pareto=False)
    executed = build.execute([pattern(t)[None] for t in build.inputs]).instructions[0]
    assert found.measured_layers == len(found.layers)
    assert found.instructions_range == (found.instructions, found.instructions)
    assert found.instructions == pytest.approx(executed, rel=0.02, abs=30)
    assert found.flash_bytes == pytest.approx(build.report["flash"]["total_bytes"], rel=0.02, abs=64)
    assert found.arena_bytes == build.report["ram"]["arena_bytes"]
