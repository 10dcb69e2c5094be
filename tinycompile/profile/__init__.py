"""`profile`: executed instructions of each layer, exactly; what they are; and an estimate of cycles.

QEMU counts (`counter.py`) and simulates the board's caches (`waiting.py`), the line numbers in the ELF say which layer
a call belongs to (`layers.py`), Capstone says what each instruction is (`instructions.py`) and objdump what those of
Helium are (`helium.py`), and a model of the core estimates cycles: `single_issue.py` for M0 to M4, `cortex_m*.py` by
the pipeline of `in_order.py` for the others. How far such estimates were from silicon is in `calibration.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tinycompile.build import Build
from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.profile.calibration import error_percent
from tinycompile.profile.cortex_m7 import CORTEX_M7
from tinycompile.profile.cortex_m33 import CORTEX_M33
from tinycompile.profile.cortex_m55 import CORTEX_M55
from tinycompile.profile.cortex_m85 import CORTEX_M85
from tinycompile.profile.counter import Block, Counts, Pair, count
from tinycompile.profile.helium import instructions_of
from tinycompile.profile.instructions import KINDS, Decoder, Instruction
from tinycompile.profile.layers import cores_of, layers_of
from tinycompile.profile.single_issue import CORTEX_M0, CORTEX_M0PLUS, CORTEX_M3, CORTEX_M4
from tinycompile.profile.waiting import Waiting, waiting_of
from tinycompile.report.saving import update_report
from tinycompile.report.timing import as_bounds, assumptions, parts_in_use
from tinycompile.samples import pattern
from tinycompile.targets import Cycles, Memory
from tinycompile.toolchain import make

OUTSIDE = -1
"""Stands for a layer where there is none: loops over rows, entry and exit."""


class CycleModel(Protocol):
    """What a core takes for instructions."""

    @property
    def name(self) -> str: ...

    def cycles(self, before: Sequence[Instruction], block: Sequence[Instruction], taken: bool) -> float: ...

    def mispredicted(self) -> float: ...


MODELS: dict[str, CycleModel] = {
    "m0": CORTEX_M0,
    "m0plus": CORTEX_M0PLUS,
    "m3": CORTEX_M3,
    "m4": CORTEX_M4,
    "m7": CORTEX_M7,
    "m33": CORTEX_M33,
    "m55": CORTEX_M55,
    "m85": CORTEX_M85,
}
"""By the pipeline of the target's core."""

TOLD = {"m4": ("m4", "m7"), "m7": ("m4", "m7"), "m55": ("m55", "m85"), "m85": ("m55", "m85")}
"""An M4's code runs on an M7, an M55's on an M85, so both are told; of the others their own."""

DECODED = ("EM_ARM",)
"""ELF machines whose instructions `Decoder` knows."""


@dataclass
class Work:
    """What one layer executed."""

    instructions: int = 0
    mix: Counter[str] = field(default_factory=Counter[str])
    cycles: defaultdict[str, float] = field(default_factory=lambda: defaultdict[str, float](float))

    def as_dict(self, models: Sequence[CycleModel], mixed: bool) -> dict[str, Any]:
        mix = {kind: self.mix[kind] for kind in KINDS} if mixed else {}
        cycles = {model.name: round(self.cycles[model.name]) for model in models}
        return {"instructions": self.instructions, "mix": mix, "cycles": cycles}


def profile_build(build: Build, samples: Sequence[Array] | None = None) -> dict[str, Any]:
    """Profile one inference in QEMU and record it as `profile` in the report.

    Args:
        samples: one array (1, *shape) per input; None for `pattern`.

    Returns:
        The profile: see docs/benchmarks.md.

    Raises:
        UsageError: a build without firmware. ToolMissingError, ToolFailedError: as `count` and `layers_of`.
    """
    if build.board.is_host:
        raise UsageError("a build for the host has no firmware to profile", hint="build for another target")
    emulated, core = build.emulated, build.board.core
    make(build.folder, "all", toolchain=build.board.toolchain)
    elf = build.elf("firmware_qemu.elf")
    inputs = [pattern(t) for t in build.inputs] if samples is None else [array[:1] for array in samples]
    counts = count(build, elf, f"{build.model}_invoke", inputs, inner=f"{build.model}_infer")
    decoder = decoder_of(build)
    mixed = decoder is not None
    told = TOLD.get(core.pipeline, (core.pipeline,)) if mixed else ()
    models = [MODELS[pipeline] for pipeline in told if pipeline in MODELS]
    layer_of = _layer_of(counts, elf, build)
    works, waiting = _works(counts, layer_of, models, decoder), _waiting(counts, layer_of, build)
    total = Work()
    for work in works.values():
        total.instructions += work.instructions
        total.mix += work.mix
        for name, cycles in work.cycles.items():
            total.cycles[name] += cycles
    profile = {
        "machine": emulated.name,
        "core": core.name,
        "input": "pattern" if samples is None else "sample",
        **total.as_dict(models, mixed),
        "error_percent": {model.name: error_percent(model.name) for model in models},
        "estimate": _estimate(build, total, waiting),
        "note": "" if models else _why_none(build, mixed),
        "layers": [
            {"name": layer["name"], **works[index].as_dict(models, mixed), "waiting": _of(waiting, index)}
            for index, layer in enumerate(build.report["layers"])
        ],
        "outside_layers": {**works[OUTSIDE].as_dict(models, mixed), "waiting": _of(waiting, OUTSIDE)},
        "waiting": None if waiting is None else _sum(waiting).as_dict(),
        "waiting_assumes": _assumes(build),
        "cores": _cores(counts, elf, build, decoder),
    }
    build.report["profile"] = profile
    update_report(build.folder, build.report)
    return profile


def decoder_of(build: Build) -> Decoder | None:
    """What tells apart the instructions of a build's firmware for QEMU; None where nothing does.

    Raises:
        ToolMissingError: Capstone isn't installed, or objdump. ToolFailedError: objdump.
    """
    core, toolchain = build.board.core, build.board.toolchain
    if toolchain.machine not in DECODED:
        return None
    if not core.has("mve"):
        return Decoder()
    if "objdump" not in toolchain.tools:
        return None
    return Decoder(instructions_of(build.elf("firmware_qemu.elf"), toolchain))


def _why_none(build: Build, mixed: bool) -> str:
    core, toolchain = build.board.core, build.board.toolchain
    if core.pipeline in MODELS and not mixed and toolchain.machine in DECODED:
        return f"Helium is decoded with objdump, and the toolchain {toolchain.name} names none in [tools]"
    return f"there is no model of the {core.name}"


def _estimate(build: Build, total: Work, waiting: dict[int, Waiting] | None) -> dict[str, Any] | None:
    """Cycles and time of the target's own core at the target's clock; None where there is no model.

    `cycles` and `milliseconds` are those of the core, the bounds in `total_cycles` and `total_milliseconds` with what
    it waits for its memories.
    """
    model = MODELS.get(build.board.core.pipeline)
    if model is None or model.name not in total.cycles:
        return None
    core = model.name
    cycles, clock = total.cycles[core], build.board.clock_hz
    with_waiting = Cycles(cycles, cycles) + (Cycles() if waiting is None else _sum(waiting).total)
    milliseconds = with_waiting * (1000 / clock)
    return {
        "core": core,
        "cycles": round(cycles),
        "clock_hz": clock,
        "milliseconds": round(1000 * cycles / clock, 3),
        "error_percent": error_percent(core),
        "assumes": "code and data without wait states",
        "total_cycles": as_bounds(with_waiting),
        "total_milliseconds": {"low": round(milliseconds.low, 3), "high": round(milliseconds.high, 3)},
    }


def _cores(counts: Counts, elf: Path, build: Build, decoder: Decoder | None) -> list[dict[str, Any]]:
    """Of a build for two cores what each computes, without waiting; what both execute counts for both."""
    board = build.board
    if build.report["options"].get("cores", 1) == 1:
        return []
    places = {_place(pair) for pair in counts.pairs}
    core_of = cores_of(elf, build.folder, build.model, places, board.toolchain)
    first = board.core.name, board.core.pipeline, board.clock_hz
    second = first if board.second is None else (board.second.name, board.second.pipeline, board.second.clock_hz)
    found = list[dict[str, Any]]()
    for core, (name, pipeline, clock_hz) in enumerate((first, second)):
        model = MODELS.get(pipeline) if decoder is not None else None
        own = tuple(pair for pair in counts.pairs if core_of.get(_place(pair), core) == core)
        work = _works(replace(counts, pairs=own), dict.fromkeys(places, 0), [model] if model else [], decoder)[0]
        cycles = None if model is None else round(work.cycles[model.name])
        time = None if cycles is None else round(1000 * cycles / clock_hz, 3)
        figures = {"instructions": work.instructions, "cycles": cycles, "milliseconds": time}
        found.append({"core": name, "clock_hz": clock_hz, **figures})
    return found


def _layer_of(counts: Counts, elf: Path, build: Build) -> dict[int, int]:
    """The layer of an address in `invoke`: of a block's last instruction, elsewhere of the call."""
    places = {_place(pair) for pair in counts.pairs}
    if counts.caches is not None:
        places |= {place for place, _ in counts.caches.counts}
    layers = layers_of(elf, build.folder, build.model, places, build.board.toolchain)
    return {place: layers.get(place, OUTSIDE) for place in places}


def _place(pair: Pair) -> int:
    return (pair.site or pair.block.end) - 2


def _waiting(counts: Counts, layer_of: dict[int, int], build: Build) -> dict[int, Waiting] | None:
    """None where nothing makes the core wait, as far as is known."""
    return None if counts.caches is None else waiting_of(counts.caches, build.board.memory_system, layer_of)


def _of(waiting: dict[int, Waiting] | None, layer: int) -> dict[str, Any] | None:
    return None if waiting is None else waiting.get(layer, Waiting()).as_dict()


def _sum(waiting: dict[int, Waiting]) -> Waiting:
    return sum(waiting.values(), Waiting())


def _assumes(build: Build) -> list[str]:
    used = [Memory(m["name"], m["origin"], m["bytes"]) for m in build.report["memories"]]
    return list(assumptions(build.board.memory_system, parts_in_use(used, build.board.memories)))


def _works(
    counts: Counts, layer_of: dict[int, int], models: Sequence[CycleModel], decoder: Decoder | None
) -> dict[int, Work]:
    works = defaultdict[int, Work](Work)
    decoded = None if decoder is None else _Decoded(decoder)
    branches = defaultdict[tuple[int, Block], list[int]](lambda: [0, 0])
    for pair in counts.pairs:
        layer, taken = layer_of[_place(pair)], pair.before is not None and pair.before.end != pair.block.address
        work = works[layer]
        work.instructions += pair.block.instructions * pair.count
        if decoded is None:
            continue
        for kind, n in decoded.mix(pair.block).items():
            work.mix[kind] += n * pair.count
        for model in models:
            work.cycles[model.name] += decoded.cycles(model, pair.before, pair.block, taken) * pair.count
        if pair.before is not None and decoded.is_conditional(pair.before):
            branches[layer, pair.before][taken] += pair.count
    for (layer, _), times in branches.items():
        for model in models:  # a predictor learns the more frequent way
            works[layer].cycles[model.name] += min(times) * model.mispredicted()
    return works


class _Decoded:
    """Instructions, mixes and cycles of blocks, each computed once."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._blocks: dict[Block, tuple[Instruction, ...]] = {}
        self._mixes: dict[Block, Counter[str]] = {}
        self._cycles: dict[tuple[str, Block | None, Block, bool], float] = {}

    def instructions(self, block: Block) -> tuple[Instruction, ...]:
        if block not in self._blocks:
            self._blocks[block] = self._decoder.block(block.code, block.address)
        return self._blocks[block]

    def mix(self, block: Block) -> Counter[str]:
        if block not in self._mixes:
            self._mixes[block] = Counter(i.kind for i in self.instructions(block))
        return self._mixes[block]

    def is_conditional(self, block: Block) -> bool:
        """Whether it ends in a branch that is taken or not."""
        last = self.instructions(block)[-1]
        return last.name in ("cbz", "cbnz") or (last.jumps and last.conditional)

    def cycles(self, model: CycleModel, before: Block | None, block: Block, taken: bool) -> float:
        key = (model.name, before, block, taken)
        if key not in self._cycles:
            earlier = () if before is None else self.instructions(before)
            self._cycles[key] = model.cycles(earlier, self.instructions(block), taken)
        return self._cycles[key]
