"""From model files to named programs: import, passes, kernels, memory, names; before anything is printed."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tinycompile.backends.scores import scores_of
from tinycompile.codegen.blob import HEADER_BYTES as WEIGHTS_HEADER_BYTES
from tinycompile.codegen.emit import identified
from tinycompile.codegen.interface import SourceFacts, changes
from tinycompile.codegen.names import model_names
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.codegen.reserved import API
from tinycompile.compatible import adopted, with_weights
from tinycompile.copy_choice import Estimate
from tinycompile.errors import DoesNotFitError, TinycompileWarning, UsageError
from tinycompile.frontend import class_names_of, is_onnx, load
from tinycompile.frontend.declared_states import with_states, without
from tinycompile.frontend.survey import Survey, survey
from tinycompile.garbage import collected_rarely
from tinycompile.ir import Graph
from tinycompile.islands import warn_of_cost
from tinycompile.kernels.base import Constant
from tinycompile.labels import read_labels
from tinycompile.layout import Layout, check_attributes, choose_ram, cold_constants, initial_bytes, weights_memory
from tinycompile.lowered import Lowered, Slide, saved_names
from tinycompile.model_source import compiled_source, framed_source
from tinycompile.motion.front_end import with_motion
from tinycompile.options import Options
from tinycompile.passes import optimize as optimize_graph
from tinycompile.passes.camera import with_camera
from tinycompile.passes.eliminate_channels import eliminating_the_same
from tinycompile.passes.fold_softmax import without_softmax
from tinycompile.passes.io import int8_io
from tinycompile.passes.keep_tokens import Keep, Pruned, keep_tokens
from tinycompile.passes.own_states import own_states
from tinycompile.passes.slide import slide, window_of
from tinycompile.passes.stream_input import stream_input
from tinycompile.planner import Planned
from tinycompile.planner.pareto import Point, front
from tinycompile.plans import Plans
from tinycompile.predecessor import Predecessor
from tinycompile.progress import step
from tinycompile.pruning import Pruning, loss_of
from tinycompile.residents import may_reside, resides
from tinycompile.samples import load_arrays
from tinycompile.slimmable import check_sharing, check_widths_agree, placed_together
from tinycompile.targets import Board
from tinycompile.training.accumulation import accumulating
from tinycompile.training.federated import GradientExport
from tinycompile.training.request import read_request, requested_step
from tinycompile.training.start import starting_with
from tinycompile.two_cores import on_two_cores
from tinycompile.work import Work, node_macs, total, work_of
from tinycompile.zones import with_zone

WORTH_ANOTHER_PLAN = 0.005
"""Of an inference's price: what copies of code would save for which there is no room, from which on it is seen whether
other kernels have less code to copy."""

BYTE_PRICES = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Cycles of an inference that a byte of RAM for code has to save, in the order in which they are tried."""

QUICK_NODES = 20
"""Up to so many nodes schedules with less RAM are found in about a second."""


@contextmanager
def quantized_sources(
    models: Sequence[str | Path], options: Options
) -> Generator[list[tuple[Path, dict[str, Any] | None]]]:
    """(file to compile, what quantisation measured) of each model."""
    calibration = replace(options.calibration, room=options.weights == "separate")
    if options.keep_tokens and calibration.samples is None:
        calibration = replace(calibration, evaluation=None)  # it is for what fewer tokens cost
    with ExitStack() as stack:
        how = calibration, dict(options.shapes), options.signature, options.layout, dict(options.states)
        audio = None if options.motion is not None else options.frontend
        files = [stack.enter_context(framed_source(Path(model), audio)) for model in models]
        yield [stack.enter_context(compiled_source(file, *how)) for file in files]


@dataclass(frozen=True)
class Loaded:
    """A model file as a graph that is ready to be planned.

    Attributes:
        nominal: the work of the model's own layers, before the passes.
        slide: what became of its windows. pruning: of its tokens.
        folded: the output whose softmax is left out.
    """

    name: str
    source: Path
    nominal: dict[str, Work]
    plans: Plans
    slide: Slide | None
    pruning: Pruning | None
    folded: int | None


def pareto_fronts(sources: Sequence[Path], board: Board, options: Options) -> list[tuple[str, list[Point]]]:
    """For each model, by name, the schedules among which RAM and instructions trade."""
    return [(loaded.name, _front(loaded.plans)) for loaded in _loaded(sources, board, options)]


def lower(sources: Sequence[Path], board: Board, options: Options) -> tuple[list[Lowered], Layout]:
    """Everything up to naming: import, optimise, choose kernels, plan memory. Models share the arena's memory."""
    options = options if options.cores == 1 else replace(options, schedule="layer")
    loaded = _loaded(sources, board, options)
    plans = [each.plans for each in loaded]
    how = plans, board, options
    if options.widths:
        lean = options.optimize != "speed"
        planned, layout = placed_together(plans, lambda some: place(some, board, options), lean=lean)
        check_sharing(sources, planned, lambda source: imported(source, options))
    elif options.cores == 1:
        planned, layout = place(*how)
    else:
        planned, layout = on_two_cores(place, *how)
    _check_codes(planned, options)
    if options.floats == "islands":
        for each, plan in zip(loaded, planned, strict=True):
            warn_of_cost(each.source.name, plan)
    return [
        Lowered(
            each.name,
            each.source,
            each.nominal,
            p,
            _front(each.plans) if _wants_front(options, p) else None,
            slide=each.slide,
            pruning=each.pruning,
            folded=each.folded,
            steps=None if options.step_limit is None else each.plans.in_steps(p, options.step_limit),
            is_width=bool(options.widths),
        )
        for each, p in zip(loaded, planned, strict=True)
    ], layout


def _check_codes(planned: Sequence[Planned], options: Options) -> None:
    """Whether `--compress-weights` does anything."""
    if not options.compress_weights or any(k.coding is not None for each in planned for k in each.kernels):
        return
    if options.flash is not None:
        text = "--compress-weights: the layers fit --flash as they are, none is coded"
        warnings.warn(text, TinycompileWarning, stacklevel=2)
        return
    raise UsageError(
        "--compress-weights makes no layer smaller",
        where=", ".join(each.graph.name for each in planned),
        why="weights are evenly spread or few, or there is no RAM to decode them in",
        hint="a larger --ram, or few bits (`quantize --bits auto`)",
    )


def place(models: Sequence[Plans], board: Board, options: Options) -> tuple[list[Planned], Layout]:
    """The plans of models that share the arena's memory, and which memory that is.

    Raises:
        DoesNotFitError: they don't fit. TargetError: the memory they would be in can't hold them.
    """

    step("placing tensors, choosing kernels and schedule")
    with collected_rarely():
        return _place(models, board, options)


def _place(models: Sequence[Plans], board: Board, options: Options) -> tuple[list[Planned], Layout]:
    """As `place`."""
    best = _placed(models, board, options)
    if models[0].code.memory is None or any(each.stages for each in best[0]):
        return best
    found = Estimate.of(*best, board, options)
    for byte in BYTE_PRICES:
        if found.left < WORTH_ANOTHER_PLAN * found.price:
            break
        with suppress(DoesNotFitError):
            other = _placed([plans.priced(byte) for plans in models], board, options)
            there = Estimate.of(*other, board, options)
            if there.price > found.price:
                break
            best, found = other, there
    return best


def _placed(models: Sequence[Plans], board: Board, options: Options) -> tuple[list[Planned], Layout]:
    """At the price of a byte for code that the plans have."""
    planned, layout = _chosen(models, board, options)
    if may_reside(planned, layout, options):
        with suppress(DoesNotFitError):
            other, place = _chosen([plans.in_ram for plans in models], board, options)
            if resides(planned, other, place, options):
                planned, layout = other, replace(place, resident=True)
    planned, layout = with_zone(planned, layout, board)
    check_attributes(board, layout)
    return planned, layout


def _chosen(models: Sequence[Plans], board: Board, options: Options) -> tuple[list[Planned], Layout]:
    """Before what depends on where exactly everything is."""

    def planner(schedule: str, ram_limit: int, scratch_limit: int | None, /) -> list[Planned]:
        return [plans.within(schedule, ram_limit, scratch_limit) for plans in models]

    def bound(schedule: str, scratch_limit: int | None, /) -> int:
        return max(plans.bound(schedule, scratch_limit) for plans in models)

    least = options.optimize == "ram" or (options.schedule in ("stream", "patch") and options.ram is None)
    schedule = "stream" if options.input_stream == "rows" else options.schedule
    again = options.optimize == "ram"
    states = sum(plans.state_bytes for plans in models)
    return choose_ram(
        board, planner, options.ram, schedule=schedule, least=least, again=again, state_bytes=states, bound=bound
    )


def lower_like(
    predecessor: Predecessor, sources: Sequence[Path], board: Board, options: Options
) -> tuple[list[Lowered], Layout]:
    """The same for new weights of an older build: its kernels, schedule and places, with other constants.

    Raises:
        IncompatibleError: the model differs in more than its weights, or a layer's weights need other code.
    """
    if len(sources) != 1:
        raise UsageError("--compatible-with takes one model", hint="build them one by one")
    (before,), layout = lower([predecessor.source], board, options)
    known = SourceFacts(labels=predecessor.labels)
    before = replace(before, name=predecessor.model, facts=known)
    first = _program_of(before, board, layout, replace(options, labels=()))
    predecessor.check_code(first.graph_id.hex(), replanned=True)
    old = imported(predecessor.source, options)
    graph = adopted(old, imported(sources[0], options))
    nominal = work_of(graph)
    graph = optimize_graph(graph, () if options.updatable else (eliminating_the_same(optimize_graph(old, ())),))
    graph = _entered(graph, options)
    planned = with_weights(before.planned, graph, board.core)
    lowered = replace(before, source=sources[0], nominal=nominal, planned=planned, front=None)
    program = _program_of(lowered, board, layout, options)
    changed = changes(first.edges, program.edges, (first.facts.labels, program.facts.labels))
    predecessor.check_code(program.graph_id.hex(), replanned=False, changes=changed)
    return [lowered], layout


def _program_of(lowered: Lowered, board: Board, layout: Layout, options: Options) -> Program:
    """With separate weights."""
    return project_of(board, layout, with_sources([lowered], options), separate=True).programs[0]


def imported(source: Path, options: Options) -> Graph:
    """A model file as a graph, with the edges that were asked for."""
    return _folded(_with_all_layers(source, options), options)


def _folded(graph: Graph, options: Options) -> Graph:
    """Without the softmax, where nobody asks for what it computes."""
    for request in options.backends:
        if request.folds_softmax:
            scores = scores_of(request, [graph.types[name] for name in graph.outputs])
            graph = without_softmax(graph, scores.output) or graph
    return graph


def _with_all_layers(source: Path, options: Options) -> Graph:
    graph = load(source, dict(options.shapes), options.layout, options.floats, _signature(options), options.match)
    if options.states:
        file = survey(source, dict(options.shapes), _signature(options))
        names = [tensor.name for tensor in file.inputs], [tensor.name for tensor in file.outputs]
        graph = with_states(graph, options.states, *names, str(source))
    graph = int8_io(graph) if options.io == "int8" else graph
    camera, motion = options.camera_input, options.motion
    graph = graph if camera is None else with_camera(graph, camera)
    graph = graph if motion is None else with_motion(graph, motion)
    return _pruned(graph, options, str(source))[0]


def _pruned(graph: Graph, options: Options, where: str) -> tuple[Graph, tuple[Pruned, ...]]:
    """With as many tokens as were asked for."""
    if not options.keep_tokens:
        return graph, ()
    return keep_tokens(graph, [Keep.of(text) for text in options.keep_tokens], where)


def _pruning(source: Path, board: Board, options: Options) -> Pruning | None:
    """What fewer tokens save and cost."""
    if not options.keep_tokens:
        return None
    whole = imported(source, replace(options, keep_tokens=()))
    pruned, attentions = _pruned(whole, options, str(source))
    instructions, arena = _without_limit(whole, board, options)
    samples, loss = options.calibration.evaluation, None
    if samples is not None:
        names = source_facts(source, survey(source, dict(options.shapes), _signature(options)), options).inputs
        loss = loss_of(whole, pruned, names, samples)
    return Pruning(attentions, instructions, whole.macs(), arena, loss)


def _without_limit(graph: Graph, board: Board, options: Options) -> tuple[int | None, int | None]:
    """(instructions, bytes of the arena) of a graph that isn't what is compiled; None where it doesn't fit."""
    free = replace(options, ram=None, slide=None)
    with suppress(DoesNotFitError):
        (planned,), _ = place([Plans(_optimized(graph, options), board, free)], board, free)
        return planned.instructions, planned.arena_bytes
    return None, None


def _signature(options: Options) -> str | None:
    """None where calibration has made a file of the subgraph that was asked for."""
    return None if options.calibration.samples is not None else options.signature


def ready(graph: Graph, options: Options, *, of_weights: bool = True) -> Graph:
    """After the passes; those that depend on the weights only if wanted."""
    return _entered(_optimized(graph, options, of_weights=of_weights), options)


def _optimized(graph: Graph, options: Options, *, of_weights: bool = True) -> Graph:
    if options.train is not None:
        graph = optimize_graph(graph, ())  # weights change
        request = read_request(options.train, options.classes)
        learning = requested_step(graph, request, options.loss, options.learning_rate)
        if options.parameters is not None:
            learning = starting_with(learning, load_arrays(options.parameters), str(options.parameters))
        return own_states(accumulating(learning).graph if options.accumulate else learning.graph)
    return optimize_graph(graph) if of_weights and not options.updatable else optimize_graph(graph, ())


def _entered(graph: Graph, options: Options) -> Graph:
    """With an input of new rows only, or one that comes row by row, if that was asked for."""
    if options.slide is not None:
        graph = slide(graph, window_of(graph, options.slide))
    return stream_input(graph) if options.input_stream == "rows" else graph


def _slide(graph: Graph, board: Board, options: Options) -> Slide | None:
    """What a model's windows are, and what the whole one would take."""
    if options.slide is None:
        return None
    window = window_of(graph, options.slide)
    instructions, arena = _without_limit(graph, board, options)
    rows = graph.types[window.input].shape[window.axis]
    number = graph.inputs.index(window.input)
    return Slide(number, window.axis, rows, window.step, instructions, graph.macs(), arena)


def _wants_front(options: Options, planned: Planned) -> bool:
    return len(planned.graph.nodes) <= QUICK_NODES if options.pareto is None else options.pareto


def _front(plans: Plans) -> list[Point]:
    step("looking for schedules with less RAM")
    return front(lambda limit: plans.layers(limit, None), plans.stages)


def _loaded(sources: Sequence[Path], board: Board, options: Options) -> list[Loaded]:
    graphs = list[tuple[Path, dict[str, Work], Graph, Slide | None, Pruning | None, int | None]]()
    if not sources:
        raise UsageError("no model was given")
    if options.backend and len(sources) > 1:
        raise UsageError("--backend is for a single model", hint="build them one by one")
    if board.is_host and options.widths:
        raise UsageError("a build for the host has one width", hint="another --target; `evaluate` runs its C here")
    if board.is_host and len(sources) > 1:
        raise UsageError("a build for the host takes one model", hint="build them one by one")
    for source in sources:
        step(f"reading {source.name}")
        whole = _with_all_layers(source, options)
        graph = _folded(whole, options)
        pairs = enumerate(zip(whole.outputs, graph.outputs, strict=True))
        folded = next((number for number, (before, after) in pairs if before != after), None)
        done = ready(graph, options)  # which says what is wrong with a window
        slides, prunes = _slide(graph, board, options), _pruning(source, board, options)
        graphs.append((source, work_of(graph), done, slides, prunes, folded))
    weights = [max(1, total(work).weight_bytes) for _, work, *_ in graphs]
    if options.widths:
        check_widths_agree(sources, [done for _, _, done, *_ in graphs], weights)
    names = model_names(sources, options.width_labels)
    return [
        Loaded(
            name,
            source,
            nominal,
            Plans(graph, board, options, share=1.0 if options.widths else own / sum(weights)),
            slides,
            prunes,
            folded,
        )
        for name, (source, nominal, graph, slides, prunes, folded), own in zip(names, graphs, weights, strict=True)
    ]


def project_of(
    board: Board,
    layout: Layout,
    models: Sequence[Lowered],
    *,
    separate: bool = False,
    export: GradientExport | None = None,
    cores: int = 1,
    origins: tuple[Provenance, ...] = (),
) -> Project:
    """Everything named, ready to be printed.

    Args:
        origins: of the models; by their files where there are none.
        separate: whether the weights are apart from the code.
        export: how what is learned becomes messages, if it does.
        cores: that compute an inference.

    Raises:
        TargetError: the board says no place for them. DoesNotFitError: it is too small.
    """
    kernels = [kernel for lowered in models for kernel in lowered.planned.kernels]
    cold = set[Constant]()
    if not separate:
        graphs = [lowered.planned.graph for lowered in models]
        cold = cold_constants(board, kernels, [m for graph in graphs for m in node_macs(graph)], initial_bytes(graphs))
    if cold:
        layout = replace(layout, cold=board.external_flash)
    origins = origins or tuple(
        Provenance(name, hashlib.sha256(lowered.source.read_bytes()).hexdigest())
        for name, lowered in zip(saved_names(models), models, strict=True)
    )
    taken = {f"{m.name}_{suffix}" for m in models for suffix in API}
    programs = tuple[Program, ...]()
    for m in models:
        program = build_program(
            *(m.name, m.planned, cold),
            separate=separate,
            taken=taken,
            alignment=board.alignment,
            facts=m.facts,
            steps=m.steps,
            cores=cores,
            line=board.second.line if board.second is not None and cores > 1 else 0,
            wider=programs if m.is_width else (),
        )
        programs = (*programs, program)
    if export is not None:
        programs = tuple(replace(program, gradient=export) if program.training else program for program in programs)
    if separate:
        programs = tuple(identified(program, origin) for program, origin in zip(programs, origins, strict=True))
        if not board.is_host:
            sizes = sum(WEIGHTS_HEADER_BYTES + program.blob_bytes for program in programs)
            layout = replace(layout, weights=weights_memory(board, sizes))
    check_attributes(board, layout)
    return Project(board, layout, programs, origins)


def with_sources(models: Sequence[Lowered], options: Options) -> list[Lowered]:
    """With what the models' files say and the passes forgot, and the labels of those for which a file was given."""
    if len(options.labels) > len(models):
        raise UsageError(f"--labels was given {len(options.labels)} times for {len(models)} models")
    found = list[Lowered]()
    for lowered, labels in zip_longest(models, options.labels):
        graph = lowered.planned.graph
        shapes = [graph.types[name].shape for name in graph.outputs]
        given = lowered.facts.labels or class_names_of(lowered.source, shapes)
        names = given if labels is None else read_labels(labels, shapes)
        file = survey(lowered.source, dict(options.shapes), _signature(options))
        facts = replace(source_facts(lowered.source, file, options), labels=names)
        if lowered.folded is not None:
            outputs = list(facts.outputs)
            outputs[lowered.folded] = graph.outputs[lowered.folded]
            facts = replace(facts, outputs=tuple(outputs))
        found.append(replace(lowered, facts=facts, survey=file))
    return found


def source_facts(path: Path, found: Survey, options: Options) -> SourceFacts:
    """What a caller is told of inputs and outputs: the file's own names, the order of their axes."""
    own = is_onnx(path) or found.channels_first
    layout = "model" if own and options.layout == "model" else "NHWC"
    inputs, outputs = (
        without([tensor.name for tensor in tensors], [pair[side] for pair in options.states])
        for side, tensors in enumerate((found.inputs, found.outputs))
    )
    return SourceFacts(inputs, outputs, layout, ties_even=is_onnx(path))
