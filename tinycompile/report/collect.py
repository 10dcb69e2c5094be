"""Collects the facts of a build from the programs and from the linked ELF."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinycompile.codegen.blob import HEADER_BYTES, VERSION
from tinycompile.codegen.parts import Layer, Tensor
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.elf import COPIED_SECTIONS, Sizes, frame_bytes, sizes, worst_case_stack
from tinycompile.ir import Graph
from tinycompile.kernels.base import Coding
from tinycompile.kernels.cover import expanded, part_nodes
from tinycompile.lowered import Lowered
from tinycompile.ops._training.trained_layer import TrainedLayer
from tinycompile.ops.identity import Identity
from tinycompile.planner import Planned
from tinycompile.planner.stage import Stage, stage_macs
from tinycompile.report.attributes import attributes
from tinycompile.report.document import PARAMETERS
from tinycompile.report.facts import (
    arena_facts,
    board_facts,
    compiled_graph,
    live_bytes,
    pareto_facts,
    source_graph,
    steps_facts,
)
from tinycompile.report.sections import (
    CodedSection,
    FlashSection,
    GraphsSection,
    LayerSection,
    MacsSection,
    MemorySection,
    OptionsSection,
    RamSection,
    Report,
    SourceSection,
    StageSection,
    StateSection,
    TensorSection,
    WeightsFileSection,
)
from tinycompile.report.timing import as_bounds, core_times_section, program_waiting, time_section
from tinycompile.report.training import phase_of, training_section
from tinycompile.report.weights import layer_weights
from tinycompile.report.widths import together_section, width_section
from tinycompile.resources import runtime_dir
from tinycompile.targets import BOARDS_FOLDER, Board, Cycles
from tinycompile.version import __version__
from tinycompile.work import Work, node_macs, total, work_of

if TYPE_CHECKING:
    from tinycompile.options import Options

SIMD_HEADER = "cmsis_shim/tc_simd.h"
_SLOT_STACK_BYTES = re.compile(r"#define TC_SLOT_STACK_BYTES (\d+)")


def firmware_stack(folder: Path, board: Board) -> int:
    """Worst-case stack of the whole firmware from its reset handler on, in bytes, interrupted where it is deepest."""
    graphs = _call_graphs(folder, board)
    return stack_from(graphs, board.toolchain.stack_root, board) + _interrupt(graphs, board)


def second_core_stack(folder: Path, board: Board, models: Iterable[str]) -> int:
    """The same of the second core, which isn't interrupted: of what the board has it begin with, and of its part of an
    inference. That of the first core where the board calls its function otherwise than second_core.h does.
    """
    graphs = _call_graphs(folder, board)
    begin = frame_bytes(graphs, "second_core")
    if begin is None:
        return firmware_stack(folder, board)
    return begin + max(stack_from(graphs, f"{model}_second_core", board) for model in models)


def _call_graphs(folder: Path, board: Board) -> list[Path]:
    firmware, toolchain = folder / "build" / "firmware", board.toolchain
    console = {firmware / f"{name}.ci" for name in ("main_console", *(source.stem for source in toolchain.console))}
    found = [path for place in (folder / "build", firmware) for path in sorted(place.glob("*.ci"))]
    return [path for path in found if path not in console and not path.name.endswith(".trace.ci")]


def _interrupt(graphs: Sequence[Path], board: Board) -> int:
    """The deepest interrupt handler of the firmware, with what the core pushes for it. None interrupts another one."""
    toolchain = board.toolchain
    floats = board.core.has("fpu") or board.core.has("mve")
    frame = toolchain.interrupt_float_bytes if floats else toolchain.interrupt_bytes
    nodes = {name: f'node: {{ title: "{name}" label' for name in toolchain.interrupt_handlers}
    text = "".join(path.read_text() for path in graphs) if nodes else ""
    present = [name for name, node in nodes.items() if node in text]
    return max((frame + stack_from(graphs, name, board) for name in present), default=0)


def stack_from(graphs: Sequence[Path], root: str, board: Board) -> int:
    """Worst-case stack from a function on, in bytes, by call graphs."""
    thumb1 = board.toolchain.machine == "EM_ARM" and not board.core.has("thumb2")
    usual, fpu = board.toolchain.library_stack_bytes, board.core.has("fpu")
    deeper = board.toolchain.library_stacks
    return worst_case_stack(graphs, root, usual, thumb1=thumb1, fpu=fpu, deeper=deeper) + _slots(board)


def _slots(board: Board) -> int:
    """What assembly takes of the stack on DSP cores without FPU, unseen by the compiler: its header says how much."""
    if not board.core.has("dsp") or board.core.has("fpu"):
        return 0
    (found,) = _SLOT_STACK_BYTES.findall((runtime_dir() / SIMD_HEADER).read_text())
    return int(found)


def collect_report(
    folder: Path, project: Project, models: Sequence[Lowered], options: Options, stack: int
) -> list[Report]:
    """What is known of each model before any run.

    Args:
        stack: of the whole firmware; not of a build for the host.
    """
    board = project.board
    image = f"lib{project.programs[0].model}.so" if board.is_host else "firmware.elf"
    symbols = [symbol for program in project.programs for symbol in program.weight_symbols()]
    measured = sizes(folder / image, symbols, board.toolchain.stored_sections)
    apart = sum(HEADER_BYTES + program.blob_bytes for program in project.programs if program.separate)
    measured = replace(measured, flash=measured.flash + apart, weights=measured.weights + apart)
    codings = [k.coding for each in models for k in each.planned.kernels if k.coding is not None]
    memories = _memories(project, measured, stack)
    shared = _Shared(folder, project, measured, stack, _options(options, board, models[0].folded), memories, codings)
    return [
        _model(shared, program, lowered, origin)
        for program, lowered, origin in zip(project.programs, models, project.origins, strict=True)
    ]


@dataclass(frozen=True)
class _Shared:
    """What the models of a build have in common."""

    folder: Path
    project: Project
    measured: Sizes
    stack: int
    options: OptionsSection
    memories: list[MemorySection]
    codings: list[Coding]


def _options(options: Options, board: Board, folded: int | None) -> OptionsSection:
    return OptionsSection(
        io=options.io,
        optimize=options.optimize,
        ram=options.ram,
        schedule=options.schedule,
        weights=options.weights,
        align=board.alignment,
        flash=options.flash,
        flash_spare=options.flash_spare,
        flash_offset=options.flash_offset,
        fast_code=options.fast_code,
        fast_weights=options.fast_weights,
        updatable=options.updatable,
        board_path=None if options.board_path is None else BOARDS_FOLDER,
        layout=options.layout,
        floats=options.floats,
        shapes=dict(options.shapes),
        states=dict(options.states),
        signature=options.signature,
        match=options.match,
        camera=options.camera,
        crop=options.crop,
        resize=options.resize,
        pixel_range=options.pixel_range,
        slide=options.slide,
        frontend=None if options.motion is None else options.motion.text,
        keep_tokens=options.keep_tokens,
        backend=tuple(request.text for request in options.backends),
        folded_output=folded,
        train=options.train,
        classes=options.classes,
        export_gradient=options.export_gradient,
        loss=options.loss,
        learning_rate=options.learning_rate,
        accumulate=options.accumulate,
        parameters=None if options.parameters is None else PARAMETERS,
        compress_weights=options.compress_weights,
        steps=options.steps,
        cores=options.cores,
        widths={f"{width.share:g}": width.path.name for width in options.widths},
    )


def _model(shared: _Shared, program: Program, lowered: Lowered, origin: Provenance) -> Report:
    project, planned = shared.project, lowered.planned
    held = [_weights_in(layer, project, program) for layer in program.layers]
    waiting = program_waiting(shared.folder / "build", program, project, planned, held, shared.measured)
    executed, layers = _executed(program), _layers(shared, program, lowered, held, waiting)
    does_else = lowered.slide is not None or program.training is not None  # than the model's own layers
    forms = Counter(layer.notes["requantisation"] for layer in layers if "requantisation" in layer.notes)
    return Report(
        tinycompile=__version__,
        target=project.board.name,
        board=board_facts(project.board),
        options=shared.options,
        flash=_flash(shared.measured, project, shared.codings),
        memories=shared.memories,
        model=program.model,
        labels=program.facts.labels,
        io_prefix=f"{program.model}_" if len(project.programs) > 1 else "",
        source=SourceSection(origin.source, origin.sha256),
        quantization=lowered.quantization,
        weights_file=_weights_file(project, program),
        input_stream="none" if program.streamed_input is None else "rows",
        inputs=_inputs(program),
        outputs=[_tensor(tensor, program.graph) for tensor in program.outputs],
        ram=_ram(shared, program, planned),
        schedule="+".join(sorted({stage.mode for stage in planned.stages})) or "layer",
        states=[_state(program, index) for index in range(len(program.states))],
        slide=lowered.slide,
        pruning=lowered.pruning,
        training=training_section(program, planned, origin.sha256),
        stages=[_stage(stage, program) for stage in planned.stages],
        steps=None if lowered.steps is None else steps_facts(lowered.steps, planned.graph),
        macs=MacsSection(total(lowered.nominal).macs, planned.macs),
        eliminated=_eliminated(layers) if does_else else total(lowered.nominal) - total(executed),
        notes=program.graph.notes,
        requantisation=dict(sorted(forms.items())),
        layers=layers,
        time=time_section(project, waiting),
        core_times=core_times_section(planned, project.layout, project.board),
        arena=arena_facts(planned),
        graphs=GraphsSection(source_graph(lowered.survey, planned.graph), compiled_graph(program.graph)),
        pareto=None if lowered.front is None else pareto_facts(lowered.front),
        width=width_section(shared.folder / "firmware.elf", shared.measured.functions, project, program),
    )


def _layers(
    shared: _Shared,
    program: Program,
    lowered: Lowered,
    held: Sequence[Mapping[str, int]],
    waiting: Sequence[Mapping[str, Cycles]],
) -> list[LayerSection]:
    nominal, executed = {} if lowered.slide else lowered.nominal, _executed(program)
    stages = {
        step: number for number, stage in enumerate(lowered.planned.stages) for step in range(stage.first, stage.last)
    }
    weights = [layer_weights(program.graph, layer.node) for layer in program.layers]
    figures = zip(program.layers, live_bytes(lowered.planned), _code(program, shared.measured), strict=False)
    return [
        LayerSection(
            name=layer.node.name,
            op=layer.node.op.title,
            kernel=layer.kernel.variant,
            notes=layer.kernel.notes,
            macs=layer.node.op.macs(program.graph.signature(layer.node)),
            eliminated=_saved(layer, nominal, executed),
            instructions=None,
            instructions_estimate=layer.kernel.instructions,
            weights_bytes=layer.kernel.constant_bytes,
            attributes=attributes(layer.node),
            weights=weights[step].count,
            weight_bits=weights[step].bits,
            scratch_bytes=layer.kernel.scratch_bytes,
            function=layer.function,
            stage=stages.get(step),
            traced=program.training is None or program.training.predicts(step),
            phase=phase_of(step, layer.node, program.training),
            outputs=[_tensor(tensor, program.graph) for tensor in layer.outputs],
            weights_in=held[step],
            live_bytes=live,
            code_bytes=code,
            waiting_estimate=as_bounds(sum(waiting[step].values(), Cycles())),
        )
        for step, (layer, live, code) in enumerate(figures)
    ]


def _saved(layer: Layer, nominal: dict[str, Work], executed: dict[str, Work]) -> Work:
    """What a layer's parts don't compute of what the file asks for."""
    parts = [part.name for part in part_nodes(layer.node)]
    return sum((nominal[part] - executed[part] for part in parts if part in nominal and part in executed), Work())


def _executed(program: Program) -> dict[str, Work]:
    """Work of the model's own layers, and of those that training adds."""
    graph = expanded(program.graph)
    return work_of(graph, [node.name for node in graph.nodes if isinstance(node.op, TrainedLayer)])


def _eliminated(layers: Sequence[LayerSection]) -> Work:
    """Of the model's own layers: a head for more classes has more than before, and is none of them."""
    return sum((each.eliminated for each in layers if min(each.eliminated.as_dict().values()) >= 0), Work())


def _weights_in(layer: Layer, project: Project, program: Program) -> dict[str, int]:
    """Bytes of a layer's constants in each memory; of a constant that several layers share, in each of them."""
    layout = project.layout
    named = {(c.constant.ctype, c.constant.values.tobytes()): c for c in program.constants}
    copied = {symbol: copy.memory for copy in project.copies if copy.kind == "weights" for symbol in copy.symbols}
    found = dict[str, int]()
    for constant in layer.kernel.constants:
        known = named.get((constant.ctype, constant.values.tobytes()))
        memory = layout.weights or layout.flash
        if known is not None:
            memory = copied.get(known.name, layout.cold if known.cold and layout.cold is not None else memory)
        found[memory.name] = found.get(memory.name, 0) + constant.bytes
    return found


def _code(program: Program, measured: Sizes) -> list[int]:
    """Bytes of each layer's function and of those that it calls; one that several layers share counts for the first."""
    names = {each.function: each.name for each in program.functions}
    seen, found = set[str](), list[int]()
    for layer in program.layers:
        called = layer.kernel.function.all_called if layer.kernel.function else ()
        own = [name for function in called if (name := names[function]) not in seen]
        found.append(sum(measured.functions.get(name, 0) for name in own))
        seen.update(own)
    return found


def _weights_file(project: Project, program: Program) -> WeightsFileSection | None:
    """Of separate weights: the file, what ties it to the code, and its address on the board and in QEMU."""
    if not program.separate:
        return None
    emulated = project.board.emulated()
    return WeightsFileSection(
        file=f"{program.model}_weights.bin",
        bytes=HEADER_BYTES + program.blob_bytes,
        version=VERSION,
        graph=program.graph_id.hex(),
        address=project.weights_addresses(project.board).get(program.model),
        qemu_address=emulated and project.weights_addresses(emulated).get(program.model),
    )


def _inputs(program: Program) -> list[TensorSection]:
    if program.streamed_input is None:
        return [_tensor(tensor, program.graph) for tensor in program.inputs]
    return [replace(_tensor(program.streamed_input, program.graph), offset=None)]


def _stage(stage: Stage, program: Program) -> StageSection:
    """Layers that are executed together row by row."""
    names = [layer.node.name for layer in program.layers]
    return StageSection(
        mode=stage.mode,
        how=stage.how,
        layers=names[stage.first : stage.last],
        rows=stage.rows,
        ticks=stage.ticks,
        tiles=stage.tiles,
        line_bytes={name: lines.bytes for name, lines in stage.lines.items()},
        macs=stage_macs(stage),
        layer_macs=sum(node_macs(program.graph)[stage.first : stage.last]),
    )


def _ram(shared: _Shared, program: Program, planned: Planned) -> RamSection:
    """The arena of one model, and what the whole firmware takes."""
    project, board, layout = shared.project, shared.project.board, shared.project.layout
    graph = shared.folder / "build" / f"{program.unit}.ci"
    known = graph.exists() or not board.is_host  # a host's compiler needn't write call graphs
    invoke = stack_from([graph], f"{program.model}_invoke", board) if known else 0
    stack = invoke if board.is_host else shared.stack
    copied = _copied(shared.measured)
    code, weights = (sum(size for (kind, _), size in copied.items() if kind == one) for one in ("code", "weights"))
    planned_bytes = project.arena_bytes + project.scratch_bytes + project.state_bytes + stack + code + weights
    whole = planned_bytes if board.is_host else shared.measured.ram
    internal = sum(m.bytes for m in board.memories if m.kind == "ram" and not m.external)
    external = {m.name: m.bytes for m in (layout.arena, layout.system) if m.external}
    return RamSection(
        arena_bytes=program.arena_bytes,
        arena_lower_bound_bytes=planned.lower_bound_bytes,
        arena_gap_bytes=planned.arena_bytes - planned.lower_bound_bytes,
        order="optimal" if planned.order_optimal else "best found",
        scratch_bytes=program.scratch_bytes,
        state_bytes=program.state_bytes,
        stack_bytes=stack,
        invoke_stack_bytes=invoke,
        fast_code_bytes=code,
        fast_weights_bytes=weights,
        other_bytes=whole - planned_bytes,
        total_bytes=whole,
        limit_bytes=internal + sum(external.values()),
        together=together_section(project),
    )


def _flash(measured: Sizes, project: Project, codings: Sequence[Coding]) -> FlashSection:
    cold, apart = project.layout.cold, project.layout.weights
    external = [memory for memory in (cold, apart) if memory and memory.external]
    return FlashSection(
        weights_bytes=measured.weights,
        code_bytes=measured.flash - measured.weights,
        total_bytes=measured.flash,
        limit_bytes=project.board.flash.bytes + sum(memory.bytes for memory in external),
        coded=CodedSection(
            len(codings),
            sum(each.plain_bytes for each in codings),
            sum(each.coded_bytes for each in codings),
            sum(each.entropy_bytes for each in codings),
        )
        if codings
        else None,
    )


def _memories(project: Project, measured: Sizes, stack: int) -> list[MemorySection]:
    """Each memory in use and the bytes of what it holds."""
    layout = project.layout
    cold = sum(c.constant.bytes for p in project.programs for c in p.constants if c.cold)
    scratch = layout.scratch or layout.arena
    copied = _copied(measured)
    other = measured.ram - project.arena_bytes - project.scratch_bytes - project.state_bytes - stack
    other -= sum(copied.values())
    states = layout.arena if len(project.programs) == 1 else layout.system  # where the contexts are
    parts = [
        (layout.flash, "code", measured.flash - measured.weights),
        (layout.weights or layout.flash, "weights", measured.weights - cold),
        (layout.cold, "weights", cold),
        (layout.system, "stack", stack),
        (layout.system, "other", other),
        (scratch, "scratch", project.scratch_bytes),
        (layout.arena, "arena", project.arena_bytes),
        (states, "states", project.state_bytes),
        *((memory, kind, copied.get((kind, memory.name), 0)) for kind in ("code", "weights") for memory in layout.fast),
    ]
    if project.board.is_host:
        return []
    return [
        MemorySection(
            name=memory.name,
            origin=memory.origin,
            bytes=memory.bytes,
            kind=memory.kind,
            cost=memory.cost,
            external=memory.external,
            mpu=memory.mpu or None,
            holds={name: size for place, name, size in parts if place == memory and size},
        )
        for memory in (*layout.used, *([layout.weights] if layout.weights else []))
    ]


def _copied(measured: Sizes) -> dict[tuple[str, str], int]:
    """Bytes that start-up copies by (kind, memory), with what the linker added."""
    parts = {section.removeprefix(COPIED_SECTIONS).partition("_"): size for section, size in measured.copied.items()}
    return {(kind, memory): size for (kind, _, memory), size in parts.items()}


def _state(program: Program, index: int) -> StateSection:
    """A state by its own name, with what the file has of its next value, which may be a copy."""
    graph, tensor = program.graph, program.states[index].tensor
    producers, following = graph.producers(), graph.states[index].next
    while following not in graph.sources:
        node = producers.get(following)
        if node is None or not isinstance(node.op, Identity):
            break
        (following,) = node.inputs
    own, after = graph.sources.get(tensor.name), _tensor(replace(tensor, name=following), graph)
    return StateSection(
        tensor.name,
        after.shape,
        after.dtype,
        after.scale,
        after.zero_point,
        tensor.offset,
        after.bytes,
        after.source_index,
        after.source_channels,
        after.source_rows,
        None if own is None else own.index,
    )


def _tensor(tensor: Tensor, graph: Graph) -> TensorSection:
    source = graph.sources.get(tensor.name)
    quant = tensor.type.quant
    per_tensor = quant is not None and quant.is_per_tensor
    return TensorSection(
        name=tensor.name,
        shape=list(tensor.type.shape),
        dtype=tensor.type.dtype.name,
        scale=tensor.type.scale if per_tensor else None,
        zero_point=tensor.type.zero_point if per_tensor else None,
        offset=tensor.offset,
        bytes=tensor.type.bytes,
        source_index=None if source is None else source.index,
        source_channels=None if source is None or source.channels is None else source.channels.tolist(),
        source_rows=None if source is None or source.rows is None else list(source.rows),
    )
