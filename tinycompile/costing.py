"""`tinycompile.cost`: what a model would take of a board, without building it.

The memory is the planner's own: what `compile` would do. Instructions are the kernels' estimates, stack and code are
estimates from what builds take: functions and those that layers share (`CodeSize`); only a build and a run know those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Unpack

from tinycompile.codegen.blob import HEADER_BYTES, content_bytes
from tinycompile.codegen.names import model_names
from tinycompile.copy_choice import STACK_BYTES, Estimate, symbol_of
from tinycompile.costs import Cost, LayerCost
from tinycompile.errors import QuantizationNeededError, UsageError
from tinycompile.frontend import is_onnx
from tinycompile.garbage import collected_rarely
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.layout import Layout, cold_constants, initial_bytes
from tinycompile.lowered import Lowered
from tinycompile.lowering import imported, lower, place, quantized_sources, ready
from tinycompile.measuring import (
    Measurement,
    Measures,
    Measuring,
    Whole,
    check_measurable,
    measured_network,
    measured_whole,
)
from tinycompile.memory_time import layers_waiting, total
from tinycompile.model_source import assumed_source
from tinycompile.options import ATTEMPTS, Options, PlanOptions
from tinycompile.planner import Planned
from tinycompile.plans import Plans
from tinycompile.progress import step
from tinycompile.report.weights import layer_weights
from tinycompile.slimmable import WIDTH_CODE_BYTES, overflow, width_costs, with_widths_of
from tinycompile.targets import Board, Cycles, Memory
from tinycompile.toolchain import RegionOverflowError
from tinycompile.typical import typical_kernels_of
from tinycompile.work import node_macs

OTHER_RAM_BYTES = 84
"""What the firmware keeps beside arena, states and stack."""

FIRMWARE_CODE_BYTES = 2000
"""Start-up, semihosting, what the C library has of it, and `invoke` without its layers."""

LAYER_CODE_BYTES = 48
"""What calls a layer, and what its function takes of tables and paddings."""

ESTIMATE_ERROR = 0.1
"""Of the instructions of layers that aren't measured: what the estimates of a hundred networks were off at the most."""


def cost(
    model: Graph | str | Path,
    target: str | Board = "stm32f746",
    *,
    exact: bool = True,
    measure: Measuring = "none",
    **options: Unpack[PlanOptions],
) -> Cost:
    """What a model would take of a board.

    Args:
        model: path of a `.tflite` or `.onnx` file, or a graph as `tinycompile.frontend.load` makes it. A graph's inputs
            and outputs stay as they are. A float `.onnx` file is priced as if it were quantised to int8.
        target: a board's name; or, for a graph, a board, for those who ask often.
        exact: for the weights that there are. False: for any weights of these shapes, by typical ones; channels that
            happen to be constant stay. Of MLPerf Tiny's size 59 to 245 a second on a Cortex-M3, 64 to 184 on a
            Cortex-M7, but 22 where stages have to be looked for.
        measure: "all" compiles and executes layers that nobody has measured on this machine, which takes a compiler,
            QEMU and about 0.2 s each; "known" does without what isn't known. "whole" compiles and executes the network
            as `compile` would build it, 1 to 2 s.
        options: how it would be compiled: `PlanOptions` lists them.

    Raises:
        TinycompileError: as for `compile`; DoesNotFitError where there is no room for the arena; ToolMissingError and
            UsageError where nothing can be measured.
    """
    chosen = Options.of(target if isinstance(target, str) else target.name, **options)
    if isinstance(model, Graph) and chosen.widths:
        raise UsageError("a graph has no widths", hint="the file of the widest network")
    if not isinstance(model, Graph):
        ((_, found),) = costs_of_files([Path(model)], chosen, exact=exact, measure=measure)
        return found
    chosen.check()
    return cost_of(model, chosen.board() if isinstance(target, str) else target, chosen, exact=exact, measure=measure)


def costs_of_files(
    models: Sequence[Path], options: Options, *, exact: bool = True, measure: Measuring = "none"
) -> list[tuple[Path, Cost]]:
    """What each of several files would take alone. Raises as `cost`."""
    options.check()
    board = options.board()
    if options.widths:
        files, options = with_widths_of(models, options)
        with quantized_sources(files, options) as sources:
            found = _cost_of_widths([source for source, _ in sources], board, options, exact=exact, measure=measure)
        return [(models[0], found)]
    found = list[tuple[Path, Cost]]()
    with quantized_sources(models, options) as sources:
        for model, (source, _) in zip(models, sources, strict=True):
            step(f"pricing {model.name}, {len(found) + 1} of {len(models)}")
            found.append((model, _cost_of_file(source, board, options, exact=exact, measure=measure)))
    return found


def _cost_of_file(source: Path, board: Board, options: Options, *, exact: bool, measure: Measuring) -> Cost:
    """Of a float ONNX model as if it were quantised to int8, with typical scales and weights."""
    name = model_names([source])[0] if measure == "whole" else ""
    try:
        return cost_of(imported(source, options), board, options, exact=exact, measure=measure, name=name)
    except QuantizationNeededError as error:
        if options.floats == "none" or not is_onnx(source):
            raise
        refused = error
    if options.compress_weights:
        raise UsageError(
            "what compressed weights cost follows from their values",
            where=str(source),
            why="the model is a float one without samples, so it isn't known what int8 makes of them",
            hint="--calib, or without --compress-weights",
        )
    with assumed_source(source, dict(options.shapes), options.signature, options.layout) as path:
        try:
            found = cost_of(imported(path, options), board, options, exact=False, measure=measure, name=name)
            return replace(found, assumed=True)
        except QuantizationNeededError:
            raise refused from None  # there is nothing in it that int8 is for


@collected_rarely()
def cost_of(
    graph: Graph,
    board: Board,
    options: Options,
    *,
    exact: bool = True,
    measure: Measuring = "none",
    near: Callable[[Cost], bool] | None = None,
    name: str = "model",
) -> Cost:
    """The same for a graph; see `cost`.

    Args:
        near: whether a network with this estimate is worth measuring; None where all are.
        name: of the network in C; it is in the firmware, as text.
    """
    if options.compress_weights and not exact:
        raise UsageError("compress_weights needs the weights that there are", hint="exact=True")
    if measure != "none":
        check_measurable(board, options, whole=measure == "whole")
    graph = ready(graph, options, of_weights=exact)
    planned, layout = _planned(graph, board, options, exact)
    if measure == "none" or near is not None:
        estimate = _cost(planned, layout, board, options, exact, None)
        if measure == "none" or (near is not None and not near(estimate)):
            return estimate
    if measure != "whole":
        found = measured_network(planned[0], Measures.of(board), missing=measure == "all", typical=not exact)
        return _cost(planned, layout, board, options, exact, found)

    def again(options: Options) -> tuple[list[Lowered], Layout]:
        planned, layout = _planned(graph, board, options, exact)
        return [Lowered(name, Path(name), {}, planned[0])], layout

    return _built(([Lowered(name, Path(name), {}, planned[0])], layout), again, board, options, exact)


@collected_rarely()
def _cost_of_widths(
    sources: Sequence[Path], board: Board, options: Options, *, exact: bool, measure: Measuring
) -> Cost:
    """Of a firmware with a network at several widths."""
    if not exact or measure not in ("none", "whole"):
        raise UsageError(
            f"--width doesn't go with {'--measure ' + measure if exact else 'exact=False'}",
            why="what widths share is a matter of their weights, and layers that share aren't built alone",
            hint="--measure whole" if exact else "exact=True",
        )
    lowered, layout = lower(sources, board, options)
    if measure == "whole":
        check_measurable(board, options, whole=True)
        return _built((lowered, layout), lambda options: lower(sources, board, options), board, options, exact)
    return _cost([each.planned for each in lowered], layout, board, options, exact, None)


def _built(
    planned: tuple[Sequence[Lowered], Layout],
    again: Callable[[Options], tuple[Sequence[Lowered], Layout]],
    board: Board,
    options: Options,
    exact: bool,
) -> Cost:
    """As `compile` would build it: what is larger than it may be is planned again."""
    for attempt in range(1, ATTEMPTS + 1):
        models, layout = planned
        try:
            whole = measured_whole(models, layout, board, options)
            excess = 0 if options.flash is None else whole.flash_bytes - options.flash
            if excess <= 0 or attempt == ATTEMPTS:
                return _compiled(_cost([each.planned for each in models], layout, board, options, exact, None), whole)
        except RegionOverflowError as error:
            excess = overflow(error, board, options)
            if not excess or attempt == ATTEMPTS:
                raise
        options = options.in_less_flash(excess, last=attempt == ATTEMPTS - 1)
        planned = again(options)
    raise AssertionError("the last attempt returns or raises")


def _planned(graph: Graph, board: Board, options: Options, exact: bool) -> tuple[list[Planned], Layout]:
    """A graph that is ready."""
    return place([Plans(graph, board, options, kernels_of if exact else typical_kernels_of)], board, options)


def _compiled(estimate: Cost, whole: Whole) -> Cost:
    known = {name: value for name, value in asdict(whole).items() if value or name != "instructions"}
    counts = known.pop("narrower", ())
    counted = (whole.instructions, *counts) if whole.instructions else [each.instructions for each in estimate.widths]
    widths = (replace(each, instructions=count) for each, count in zip(estimate.widths, counted, strict=False))
    span = (whole.instructions,) * 2 if whole.instructions else estimate.instructions_range
    return replace(estimate, **known, widths=tuple(widths), instructions_range=span, compiled=True)


def _cost(
    networks: Sequence[Planned],
    layout: Layout,
    board: Board,
    options: Options,
    exact: bool,
    measurement: Measurement | None,
) -> Cost:
    """Of a network, or of its widths."""
    planned, graphs, separate = networks[0], [each.graph for each in networks], options.weights == "separate"
    kernels, macs = [k for each in networks for k in each.kernels], [m for graph in graphs for m in node_macs(graph)]
    cold = set[Constant]() if separate else cold_constants(board, kernels, macs, initial_bytes(graphs))
    own = _OwnCode.of(networks, layout, board, options, measurement, exact=exact)
    internal = sum(memory.bytes for memory in board.memories if memory.kind == "ram" and not memory.external)
    external = sum(memory.bytes for memory in {layout.arena, layout.system} if memory.external)
    flash = sum(memory.bytes for memory in (board.flash, board.external_flash if cold else None) if memory)
    layers = _layers(planned, macs[: len(planned.kernels)], exact, measurement, own.copies)
    instructions = sum(layer.instructions for layer in layers)
    instructions += 0 if measurement is None else measurement.base.instructions
    unsure = round(ESTIMATE_ERROR * sum(layer.instructions for layer in layers if not layer.measured))
    return Cost(
        target=board.name,
        exact=exact,
        arena_bytes=max(each.arena_bytes for each in networks),
        scratch_bytes=max(each.scratch_bytes for each in networks),
        state_bytes=planned.state_bytes,
        fast_code_estimate_bytes=own.copied_bytes,
        fast_weights_estimate_bytes=own.copies.bytes["weights"],
        stack_estimate_bytes=own.stack_bytes,
        other_estimate_bytes=own.other_bytes,
        ram_limit_bytes=internal + external,
        weights_bytes=_file_bytes(planned) if separate else _weights_bytes(networks, cold, exact),
        code_estimate_bytes=own.code_bytes,
        flash_limit_bytes=flash if options.flash is None else min(flash, options.flash),
        instructions=instructions,
        macs=planned.macs,
        clock_hz=0 if board.is_host else board.clock_hz,
        cycles_per_instruction=board.core.issue.cycles_per_instruction,
        waiting_cycles=_waiting(planned, cold, own.copies, layout, board),
        schedule="+".join(sorted({stage.mode for stage in planned.stages})) or "layer",
        layers=layers,
        measured_layers=sum(layer.measured for layer in layers),
        instructions_range=(instructions - unsure, instructions + unsure),
        widths=width_costs(networks, options) if options.widths else (),
    )


@dataclass(frozen=True)
class _OwnCode:
    """A firmware's code and stack, and what of it start-up copies: by measures of all layers, or estimates."""

    copies: Estimate
    copied_bytes: int
    code_bytes: int
    stack_bytes: int = STACK_BYTES
    other_bytes: int = OTHER_RAM_BYTES

    @staticmethod
    def of(
        networks: Sequence[Planned],
        layout: Layout,
        board: Board,
        options: Options,
        measurement: Measurement | None,
        *,
        exact: bool,
    ) -> _OwnCode:
        if measurement is None or not measurement.complete:
            copies = Estimate.of(networks, layout, board, options)
            return _OwnCode(copies, copies.bytes["code"], _code_bytes(networks, exact))
        (planned,) = networks
        fixed = measurement.fixed(layout, None)
        stack = max(fixed.stack_bytes, fixed.above_bytes + measurement.stack_bytes)
        copies = Estimate.of([planned], layout, board, options, measurement.code_sizes, stack)
        code = copies.code
        calls, calls_back = measurement.far_calls(code) if code else (0, 0)
        if copies.chosen:
            fixed = measurement.fixed(layout, next(memory for _, memory in copies.chosen))
        copied = sum(size for name, size in measurement.sizes.items() if name in code) + calls_back
        size = measurement.code_bytes(fixed, _distinct(planned.constants, exact)) + calls + calls_back
        return _OwnCode(copies, copied, size, stack, fixed.ram_bytes)


def _distinct(constants: Sequence[Constant], exact: bool, cold: Set[Constant] = frozenset()) -> list[int]:
    """Bytes of each constant array of a firmware: those with the same content are one, as codegen shares them; of
    typical ones those that no weights can tell apart.

    Args:
        cold: those in another memory than the others.
    """
    own = [constant for constant in constants if constant.lent is None]
    shared = [constant for constant in own if exact or constant.of_shapes]
    once = {(c.ctype, c.layout[1], c.values.tobytes(), c in cold): c.bytes for c in shared}
    return [*once.values(), *(c.bytes for c in own if not (exact or c.of_shapes))]


def _weights_bytes(networks: Sequence[Planned], cold: Set[Constant], exact: bool) -> int:
    """Of all constants, and of states' first values."""
    first = [state.initial for each in networks for state in each.graph.states]
    constants = [constant for each in networks for constant in each.constants]
    return sum(value.nbytes for value in first if _differs(value.tobytes())) + sum(_distinct(constants, exact, cold))


def _differs(content: bytes) -> bool:
    """Whether a state's first value is a constant of the code: one whose bytes are all the same is none."""
    return len(set(content)) > 1


def _file_bytes(planned: Planned) -> int:
    """Of separate weights: nothing is shared in their file."""
    graph = planned.graph
    states = [state.initial.nbytes for state in graph.states]
    constants = [constant.bytes for constant in planned.constants]
    return HEADER_BYTES + content_bytes(len(graph.inputs) + len(graph.outputs), [*states, *constants])


def _code_bytes(networks: Sequence[Planned], exact: bool) -> int:
    """Layers with equal functions share one, which of typical weights names and sizes have to tell; and block functions
    of the same name."""
    called = [(k.function, k) for each in networks for k in each.kernels if k.function is not None]
    narrower = WIDTH_CODE_BYTES * (len(networks) - 1)
    sizes = [(f, kernel.variant, kernel.code_size) for f, kernel in called]
    functions = {f if exact else (f.stem, variant): size.own for f, variant, size in sizes}
    blocks = {name: size for _, _, code in sizes for name, size in code.shared.items()}
    return (
        FIRMWARE_CODE_BYTES + narrower + LAYER_CODE_BYTES * len(called) + sum(functions.values()) + sum(blocks.values())
    )


def _own_code_bytes(kernel: Kernel) -> int:
    """Of a layer that shares nothing."""
    if kernel.function is None:
        return 0
    return LAYER_CODE_BYTES + kernel.code_size.own + sum(kernel.code_size.shared.values())


def _waiting(planned: Planned, cold: set[Constant], copies: Estimate, layout: Layout, board: Board) -> tuple[int, int]:
    """From and to, of all layers."""
    outside = board.external_flash or layout.flash
    constants = list[Counter[Memory]]()
    for layer, kernel in enumerate(planned.kernels):
        held = Counter[Memory]()
        for array, constant in enumerate(kernel.constants):
            usual = outside if constant in cold else layout.weights or layout.flash
            held[copies.arrays.get(symbol_of(0, layer, array), usual)] += constant.bytes
        constants.append(held)
    layers = list(zip(planned.graph.nodes, planned.kernels, strict=True))
    code = [copies.code_places(layer, kernel, layout) for layer, kernel in enumerate(planned.kernels)]
    found = total(layers_waiting(planned.graph, layers, constants, code, layout, board, planned))
    both = sum(found.values(), Cycles())
    return round(both.low), round(both.high)


def _layers(
    planned: Planned, macs: Sequence[int], exact: bool, measurement: Measurement | None, copies: Estimate
) -> tuple[LayerCost, ...]:
    estimates = [kernel.instructions for kernel in planned.kernels]
    known = [False] * len(estimates) if measurement is None else measurement.known
    instructions = estimates if measurement is None else measurement.instructions(copies.code)
    return tuple(
        LayerCost(
            node.name,
            node.op.kind,
            kernel.variant,
            work,
            executed,
            kernel.constant_bytes,
            kernel.scratch_bytes,
            layer_weights(planned.graph, node, of_values=exact).bits,
            measured,
            _own_code_bytes(kernel),
        )
        for node, kernel, work, executed, measured in zip(
            planned.graph.nodes, planned.kernels, macs, instructions, known, strict=True
        )
    )
