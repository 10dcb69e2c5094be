"""`tinycompile.cost`: what a model would take of a board, without building it.

The memory is the planner's own: what `compile` would do. Instructions are the kernels' estimates, stack and code are
estimates from what builds take: functions and those that layers share (`CodeSize`); only a build and a run know those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from tinycompile.codegen.blob import HEADER_BYTES, content_bytes
from tinycompile.codegen.names import model_names
from tinycompile.copy_choice import STACK_BYTES, Estimate, symbol_of
from tinycompile.errors import QuantizationNeededError, UsageError
from tinycompile.frontend import is_onnx
from tinycompile.garbage import collected_rarely
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.layout import Layout, cold_constants, initial_bytes
from tinycompile.lowering import imported, place, quantized_sources, ready
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
from tinycompile.targets import Board, Cycles, Memory
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


@dataclass(frozen=True)
class LayerCost:
    """A layer's part. `instructions` are an estimate unless it is `measured`. `weights_bytes` are its constants as the
    kernel wants them, `weight_bits` those of each weight as the model has it, or of its type (`exact=False`); None
    where there are none. `code_bytes` estimates its function and those that it calls, as if it shared none with other
    layers.
    """

    name: str
    op: str
    kernel: str
    macs: int
    instructions: int
    weights_bytes: int
    scratch_bytes: int
    weight_bits: int | None = None
    measured: bool = False
    code_bytes: int = 0


@dataclass(frozen=True)
class Cost:
    """What a model takes of a board.

    Attributes:
        exact: these are the figures of the model's own weights; else of typical ones.
        arena_bytes, scratch_bytes, state_bytes: RAM as a build has it; scratch is 0 where it is inside the arena.
        fast_code_estimate_bytes, fast_weights_estimate_bytes: what start-up would copy to faster RAM.
        stack_estimate_bytes: an upper estimate; other_estimate_bytes: what else the firmware keeps in RAM.
        ram_limit_bytes, flash_limit_bytes: what the board has; of the flash no more than `flash` allows.
        weights_bytes: constants as a build has them.
        code_estimate_bytes: of kernels and firmware.
        instructions: of one inference, by the kernels' estimates, or as far as layers were measured by these.
        macs: executed, with what stages compute twice.
        clock_hz: of the core; 0 for the host, which has no time.
        cycles_per_instruction: of the core, from and to.
        waiting_cycles: for memories, from and to, as far as the board's file says what they cost.
        schedule: "layer", or how stages are executed.
        measured_layers: those whose instructions were counted in QEMU, or that have none; code, stack and copies are of
            builds where these are all of them. instructions_range: what a build is expected to execute.
        assumed: it is a float model, priced as if it were quantised to int8.
        compiled: all of RAM, flash and instructions are those of a firmware, which was built and run for that; layers'
            own figures are estimates. Instructions are, too, where QEMU doesn't run the board's firmware.
    """

    target: str
    exact: bool
    arena_bytes: int
    scratch_bytes: int
    state_bytes: int
    fast_code_estimate_bytes: int
    fast_weights_estimate_bytes: int
    stack_estimate_bytes: int
    other_estimate_bytes: int
    ram_limit_bytes: int
    weights_bytes: int
    code_estimate_bytes: int
    flash_limit_bytes: int
    instructions: int
    macs: int
    clock_hz: int
    cycles_per_instruction: tuple[float, float]
    waiting_cycles: tuple[int, int]
    schedule: str
    layers: tuple[LayerCost, ...]
    measured_layers: int = 0
    instructions_range: tuple[int, int] = (0, 0)
    assumed: bool = False
    compiled: bool = False

    @property
    def ram_bytes(self) -> int:
        """All of it, with the estimates."""
        return sum(
            (
                self.arena_bytes,
                self.scratch_bytes,
                self.state_bytes,
                self.fast_code_estimate_bytes,
                self.fast_weights_estimate_bytes,
                self.stack_estimate_bytes,
                self.other_estimate_bytes,
            )
        )

    @property
    def flash_bytes(self) -> int:
        """All of it, with the estimate of the code."""
        return self.weights_bytes + self.code_estimate_bytes

    @property
    def fits(self) -> bool:
        """Whether there is room for both, by the estimates."""
        return self.ram_bytes <= self.ram_limit_bytes and self.flash_bytes <= self.flash_limit_bytes

    @property
    def core_milliseconds(self) -> float | None:
        """Of the core alone, at the fewest cycles per instruction: the time without any waiting for memories."""
        return 1e3 * self.instructions * self.cycles_per_instruction[0] / self.clock_hz if self.clock_hz else None

    @property
    def fastest_milliseconds(self) -> float | None:
        """The same with the least waiting."""
        core = self.core_milliseconds
        return None if core is None else core + 1e3 * self.waiting_cycles[0] / self.clock_hz

    @property
    def slowest_milliseconds(self) -> float | None:
        """At the most cycles per instruction, with the most waiting."""
        if not self.clock_hz:
            return None
        return 1e3 * (self.instructions * self.cycles_per_instruction[1] + self.waiting_cycles[1]) / self.clock_hz

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        derived = (
            "ram_bytes",
            "flash_bytes",
            "fits",
            *(f"{which}_milliseconds" for which in ("core", "fastest", "slowest")),
        )
        facts = asdict(self)
        layers = facts.pop("layers")
        return {**facts, **{name: getattr(self, name) for name in derived}, "layers": layers}


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
            happen to be constant stay. Of MLPerf Tiny's size 54 to 150 a second on a Cortex-M3, 40 to 93 on a
            Cortex-M7, but 11 where stages have to be looked for.
        measure: "all" compiles and executes layers that nobody has measured on this machine, which takes a compiler,
            QEMU and about 0.2 s each; "known" does without what isn't known. "whole" compiles and executes the network
            as `compile` would build it, 1 to 2 s.
        options: how it would be compiled: `PlanOptions` lists them.

    Raises:
        TinycompileError: as for `compile`; DoesNotFitError where there is no room for the arena; ToolMissingError and
            UsageError where nothing can be measured.
    """
    chosen = Options.of(target if isinstance(target, str) else target.name, **options)
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
        found = measured_network(planned, Measures.of(board), missing=measure == "all", typical=not exact)
        return _cost(planned, layout, board, options, exact, found)
    whole = measured_whole(name, planned, layout, board, options)
    for attempt in range(1, ATTEMPTS):
        excess = 0 if options.flash is None else whole.flash_bytes - options.flash
        if excess <= 0:
            break
        options = options.in_less_flash(excess, last=attempt == ATTEMPTS - 1)  # as `compile` does
        planned, layout = _planned(graph, board, options, exact)
        whole = measured_whole(name, planned, layout, board, options)
    return _compiled(_cost(planned, layout, board, options, exact, None), whole)


def _planned(graph: Graph, board: Board, options: Options, exact: bool) -> tuple[Planned, Layout]:
    """A graph that is ready."""
    offer = kernels_of if exact else typical_kernels_of
    (planned,), layout = place([Plans(graph, board, options, offer)], board, options)
    return planned, layout


def _compiled(estimate: Cost, whole: Whole) -> Cost:
    known = {name: value for name, value in asdict(whole).items() if value or name != "instructions"}
    span = (whole.instructions,) * 2 if whole.instructions else estimate.instructions_range
    return replace(estimate, **known, instructions_range=span, compiled=True)


def _cost(
    planned: Planned, layout: Layout, board: Board, options: Options, exact: bool, measurement: Measurement | None
) -> Cost:
    macs, separate = node_macs(planned.graph), options.weights == "separate"
    initial = initial_bytes([planned.graph])
    cold = set[Constant]() if separate else cold_constants(board, planned.kernels, macs, initial)
    own = _OwnCode.of(planned, layout, board, options, measurement, exact=exact)
    internal = sum(memory.bytes for memory in board.memories if memory.kind == "ram" and not memory.external)
    external = sum(memory.bytes for memory in {layout.arena, layout.system} if memory.external)
    flash = sum(memory.bytes for memory in (board.flash, board.external_flash if cold else None) if memory)
    layers = _layers(planned, macs, exact, measurement, own.copies)
    instructions = sum(layer.instructions for layer in layers)
    instructions += 0 if measurement is None else measurement.base.instructions
    unsure = round(ESTIMATE_ERROR * sum(layer.instructions for layer in layers if not layer.measured))
    return Cost(
        target=board.name,
        exact=exact,
        arena_bytes=planned.arena_bytes,
        scratch_bytes=planned.scratch_bytes,
        state_bytes=planned.state_bytes,
        fast_code_estimate_bytes=own.copied_bytes,
        fast_weights_estimate_bytes=own.copies.bytes["weights"],
        stack_estimate_bytes=own.stack_bytes,
        other_estimate_bytes=own.other_bytes,
        ram_limit_bytes=internal + external,
        weights_bytes=_file_bytes(planned) if separate else _weights_bytes(planned, cold, exact),
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
        planned: Planned,
        layout: Layout,
        board: Board,
        options: Options,
        measurement: Measurement | None,
        *,
        exact: bool,
    ) -> _OwnCode:
        if measurement is None or not measurement.complete:
            copies = Estimate.of([planned], layout, board, options)
            return _OwnCode(copies, copies.bytes["code"], _code_bytes(planned.kernels, exact))
        fixed = measurement.fixed(layout, None)
        stack = max(fixed.stack_bytes, fixed.above_bytes + measurement.stack_bytes)
        copies = Estimate.of([planned], layout, board, options, measurement.code_sizes, stack)
        code = copies.code
        calls, calls_back = measurement.far_calls(code) if code else (0, 0)
        if copies.chosen:
            fixed = measurement.fixed(layout, next(memory for _, memory in copies.chosen))
        copied = sum(size for name, size in measurement.sizes.items() if name in code) + calls_back
        size = measurement.code_bytes(fixed, _distinct(planned, exact)) + calls + calls_back
        return _OwnCode(copies, copied, size, stack, fixed.ram_bytes)


def _distinct(planned: Planned, exact: bool, cold: Set[Constant] = frozenset()) -> list[int]:
    """Bytes of each constant array of a firmware: those with the same content are one, as codegen shares them; of
    typical ones those that no weights can tell apart.

    Args:
        cold: those in another memory than the others.
    """
    shared = [constant for constant in planned.constants if exact or constant.of_shapes]
    once = {(c.ctype, c.layout[1], c.values.tobytes(), c in cold): c.bytes for c in shared}
    return [*once.values(), *(c.bytes for c in planned.constants if not (exact or c.of_shapes))]


def _weights_bytes(planned: Planned, cold: Set[Constant], exact: bool) -> int:
    """Of all constants, and of states' first values."""
    states = sum(state.initial.nbytes for state in planned.graph.states if _differs(state.initial.tobytes()))
    return states + sum(_distinct(planned, exact, cold))


def _differs(content: bytes) -> bool:
    """Whether a state's first value is a constant of the code: one whose bytes are all the same is none."""
    return len(set(content)) > 1


def _file_bytes(planned: Planned) -> int:
    """Of separate weights: nothing is shared in their file."""
    graph = planned.graph
    states = [state.initial.nbytes for state in graph.states]
    constants = [constant.bytes for constant in planned.constants]
    return HEADER_BYTES + content_bytes(len(graph.inputs) + len(graph.outputs), [*states, *constants])


def _code_bytes(kernels: Sequence[Kernel], exact: bool) -> int:
    """Layers with equal functions share one, which of typical weights names and sizes have to tell; and block functions
    of the same name."""
    called = [(kernel.function, kernel) for kernel in kernels if kernel.function is not None]
    sizes = [(f, kernel.variant, kernel.code_size) for f, kernel in called]
    functions = {f if exact else (f.stem, variant): size.own for f, variant, size in sizes}
    blocks = {name: size for _, _, code in sizes for name, size in code.shared.items()}
    return FIRMWARE_CODE_BYTES + LAYER_CODE_BYTES * len(called) + sum(functions.values()) + sum(blocks.values())


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
