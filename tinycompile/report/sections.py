"""What a build says of itself, section by section.

`report.json` is `as_json` of a `Report`: a key for each attribute, in this order, so names are a public interface.
Sizes and offsets are in bytes, instructions and MACs those of one inference.

What other commands measure (`run`, `verify`, `profile`) they add to the file under keys of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tinycompile.lowered import Slide
from tinycompile.pruning import Pruning
from tinycompile.report.core_sections import CoreTimesSection
from tinycompile.report.firmware_sections import TogetherSection, WidthSection
from tinycompile.targets import Power
from tinycompile.work import Work


@dataclass(frozen=True)
class BoardSection:
    """What a reader wants to know of the target; `power` is None where nobody has said."""

    description: str
    core: str
    clock_hz: int | None
    power: Power | None


@dataclass(frozen=True)
class OptionsSection:
    """The choices that the build can be made from again, and that `Build` needs to run it."""

    io: str
    optimize: str
    ram: int | None
    schedule: str
    weights: str
    align: str
    flash: int | None
    flash_spare: int
    flash_offset: int
    fast_code: int | str
    fast_weights: int | str
    updatable: bool
    board_path: str | None
    layout: str
    floats: str
    shapes: Mapping[str, Sequence[int]]
    states: Mapping[str, str]
    signature: str | None
    match: str
    camera: str | None
    crop: str | None
    resize: str
    pixel_range: str
    slide: str | None
    frontend: str | None
    keep_tokens: Sequence[str]
    backend: Sequence[str]
    folded_output: int | None
    train: str | None
    classes: int | None
    export_gradient: str | None
    loss: str
    learning_rate: float
    parameters: str | None
    accumulate: bool
    compress_weights: bool
    steps: str | None
    cores: int
    widths: Mapping[str, str]


@dataclass(frozen=True)
class CodedSection:
    """What `--compress-weights` made of the constants of all models.

    Attributes:
        layers: that have any. plain_bytes: of these constants without codes; coded_bytes: in flash.
        entropy_bytes: that no code of single bytes needs fewer than.
    """

    layers: int
    plain_bytes: int
    coded_bytes: int
    entropy_bytes: int


@dataclass(frozen=True)
class FlashSection:
    """Of all models of the build, separate weights included; the limit is that of the memories in use."""

    weights_bytes: int
    code_bytes: int
    total_bytes: int
    limit_bytes: int
    coded: CodedSection | None


@dataclass(frozen=True)
class MemorySection:
    """A memory in use.

    Attributes:
        cost: of an access, where 1 is the fastest memory. mpu: what a region of the MPU makes it; None without one.
        holds: bytes by what they are: arena, scratch, stack, states, code, weights, other; in RAM code and weights are
            copies of what is in flash.
    """

    name: str
    origin: int
    bytes: int
    kind: str
    cost: float
    external: bool
    mpu: str | None
    holds: Mapping[str, int]


@dataclass(frozen=True)
class SourceSection:
    """The model's file, beside the report in source/."""

    file: str
    sha256: str


@dataclass(frozen=True)
class WeightsFileSection:
    """The file of separate weights, what ties it to the code, and its address on the board and in QEMU."""

    file: str
    bytes: int
    version: int
    graph: str
    address: int | None
    qemu_address: int | None


@dataclass(frozen=True)
class TensorSection:
    """An input, an output or a layer's result.

    Attributes:
        scale, zero_point: None where there are none, or one per channel.
        offset: in the arena; None for an input that comes by rows.
        source_index: in the model's file; None where it isn't there. source_channels: which of its channels; None: all.
        source_rows: (axis, first, rows of the whole tensor) where it is only rows; None: all.
    """

    name: str
    shape: Sequence[int]
    dtype: str
    scale: float | None
    zero_point: int | None
    offset: int | None
    bytes: int
    source_index: int | None
    source_channels: Sequence[int] | None
    source_rows: Sequence[int] | None


@dataclass(frozen=True)
class StateSection(TensorSection):
    """What survives a step, after it: `source_index` is the tensor of this step that it is, `begins` the one of the
    next step, each where the file has it; `offset` in the memory of all states.
    """

    begins: int | None


@dataclass(frozen=True)
class RamSection:
    """Arena, scratch and states of one model, and what the whole firmware takes.

    Attributes:
        together: what the firmware has of these; None for a model that is alone in it.
    """

    arena_bytes: int
    arena_lower_bound_bytes: int
    arena_gap_bytes: int
    order: str
    scratch_bytes: int
    state_bytes: int
    stack_bytes: int
    invoke_stack_bytes: int
    fast_code_bytes: int
    fast_weights_bytes: int
    other_bytes: int
    total_bytes: int
    limit_bytes: int
    together: TogetherSection | None


@dataclass(frozen=True)
class StageSection:
    """Layers that are executed together by rows or patches; `layer_macs` are those of the same layers one by one."""

    mode: str
    how: str
    layers: Sequence[str]
    rows: int
    ticks: int
    tiles: int
    line_bytes: Mapping[str, int]
    macs: int
    layer_macs: int


@dataclass(frozen=True)
class StepsSection:
    """An inference in steps.

    Attributes:
        limit: instructions that a step should take at most. count: of steps. longest: estimated instructions of the
            longest one, which executes `longest_layers`. total: of all. pieces: by layer that is divided, how many.
    """

    limit: int
    count: int
    longest: int
    longest_layers: Sequence[str]
    total: int
    pieces: Mapping[str, int]


@dataclass(frozen=True)
class MacsSection:
    """Of the model's file, and of what is executed."""

    nominal: int
    executed: int


@dataclass(frozen=True)
class LayerSection:
    """A layer in the order of execution.

    Attributes:
        notes: what the kernel says of how it computes. eliminated: constant channels and what they would have cost.
        instructions: counted by `run`; None before. instructions_estimate: the kernel's own figure.
        stage: index in `stages`; None for a layer by itself.
        traced: whether its result is seen apart from the next, in an inference.
        phase: "forward", or of a step of training "backward" or "update".
        attributes: the operator's, as text.
        weights: how many there are. weight_bits: of each of them, in the model; None without weights. weights_bytes: of
            all constants, as the kernel stores them.
        weights_in: bytes of constants by memory, of one that several layers share in each of them.
        live_bytes: of the arena while it is executed.
        code_bytes: of its function; one that several layers share counts for the first of them.
        waiting_estimate: cycles from "low" to "high" that it waits for memories, without a simulation.
    """

    name: str
    op: str
    kernel: str
    notes: Mapping[str, str]
    macs: int
    eliminated: Work
    instructions: int | None
    instructions_estimate: int
    weights_bytes: int
    attributes: Mapping[str, str]
    weights: int
    weight_bits: int | None
    scratch_bytes: int
    function: str
    stage: int | None
    traced: bool
    phase: str
    outputs: Sequence[TensorSection]
    weights_in: Mapping[str, int]
    live_bytes: int
    code_bytes: int
    waiting_estimate: Mapping[str, int]


@dataclass(frozen=True)
class PhaseSection:
    """A part of a training step: its layers, and what they take together."""

    layers: int
    macs: int
    instructions_estimate: int


@dataclass(frozen=True)
class TrainedSection:
    """A state that is trained: biases, or master weights, which are 256 times the weights of the file at first. Its
    `offset` is in the memory of all states.
    """

    name: str
    shape: Sequence[int]
    dtype: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class TrainingSection:
    """What a model learns, and what a step of it takes.

    Attributes:
        learning_rate, label, loss: names of states. classes: of how many the label is the number of one; None where it
            is what the output should be.
        checkpoint: what tells checkpoints of this model from others, four words.
        begin: index of the layer behind which only training follows.
        prediction_bytes: of the arena, by layers up to it. kept_bytes: what the forward pass keeps for the backward
            pass. gradient_bytes: the most that gradients and working memory of the backward pass take at once.
    """

    learning_rate: str
    label: str
    loss: str
    classes: int | None
    parameters: Sequence[TrainedSection]
    parameter_bytes: int
    checkpoint: str
    begin: int
    forward: PhaseSection
    backward: PhaseSection
    update: PhaseSection
    prediction_bytes: int
    kept_bytes: int
    gradient_bytes: int


@dataclass(frozen=True)
class TimeSection:
    """What an inference's time is estimated from, where `profile` hasn't told better.

    Attributes:
        cycles_per_instruction: of the core, from and to.
        waiting: cycles from "low" to "high" that it waits for memories, by what for: `memory_time.KINDS`.
        assumes: what the bounds stand for.
    """

    clock_hz: int
    cycles_per_instruction: Sequence[float]
    waiting: Mapping[str, Mapping[str, int]]
    waiting_total: Mapping[str, int]
    assumes: Sequence[str]


@dataclass(frozen=True)
class BufferSection:
    """A block of the arena with its lifetime [first, last), in steps; shape and dtype None where it is no tensor."""

    name: str
    kind: str
    shape: Sequence[int] | None
    dtype: str | None
    bytes: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True)
class ArenaSection:
    """Step n is the time after the last of n layers."""

    steps: int
    buffers: Sequence[BufferSection]


@dataclass(frozen=True)
class SourceNode:
    """An operator of the file; `kept` where what it computes exists in the compiled graph."""

    name: str
    op: str
    shape: Sequence[int]
    kept: bool


@dataclass(frozen=True)
class CompiledNode:
    """What is executed; `layer` is the index in `layers`, None for an input."""

    name: str
    op: str
    shape: Sequence[int]
    layer: int | None


@dataclass(frozen=True)
class SourceGraph:
    """Edges are pairs (producer, reader) of indices of nodes."""

    nodes: Sequence[SourceNode]
    edges: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class CompiledGraph:
    """As `SourceGraph`."""

    nodes: Sequence[CompiledNode]
    edges: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class GraphsSection:
    """Before and after."""

    source: SourceGraph
    compiled: CompiledGraph


@dataclass(frozen=True)
class PointSection:
    """One of the schedules among which RAM and work trade."""

    arena_bytes: int
    instructions_estimate: int
    macs: int
    schedule: str


@dataclass(frozen=True)
class Report:
    """One model of a build. In a build of several, flash and memories are those of all together.

    Attributes:
        io_prefix: of the emulator's files, where there are several models.
        quantization: what `quantize` measured, in its own form; None for a model that wasn't quantised here.
        input_stream: "rows" where the only input comes row by row through a callback, else "none".
        schedule: "layer", or the modes of the stages, joined by "+".
        states: a trace build reports them after the layers.
        requantisation: how many layers requantise in each form.
        slide: None for a model that gets its whole input in each inference.
        pruning: None for a model with all of its tokens.
        training: None for a model that doesn't learn.
        steps: None for a model without `<model>_invoke_steps`.
        time: None for the host.
        pareto: None where no front was asked for.
        width: None for a model that isn't one of several widths.
    """

    tinycompile: str
    target: str
    board: BoardSection
    options: OptionsSection
    flash: FlashSection
    memories: Sequence[MemorySection]
    model: str
    labels: Sequence[str]
    io_prefix: str
    source: SourceSection
    quantization: Mapping[str, Any] | None
    weights_file: WeightsFileSection | None
    input_stream: str
    inputs: Sequence[TensorSection]
    outputs: Sequence[TensorSection]
    ram: RamSection
    schedule: str
    states: Sequence[StateSection]
    slide: Slide | None
    pruning: Pruning | None
    training: TrainingSection | None
    stages: Sequence[StageSection]
    steps: StepsSection | None
    macs: MacsSection
    eliminated: Work
    notes: Sequence[str]
    requantisation: Mapping[str, int]
    layers: Sequence[LayerSection]
    time: TimeSection | None
    core_times: CoreTimesSection | None
    arena: ArenaSection
    graphs: GraphsSection
    pareto: Sequence[PointSection] | None
    width: WidthSection | None


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """The content of report.json: the report of the only model, or a list `models` of them."""
    found = [asdict(report) for report in reports]
    if len(found) == 1:
        return found[0]
    return {"model": "+".join(report.model for report in reports), "models": found}
