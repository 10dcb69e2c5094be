"""What a model takes of a board, as figures: `tinycompile.cost` finds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class WidthCost:
    """What a width has of its own in a firmware of several.

    Attributes:
        percent: of the widest network's channels.
        weights_bytes: constants of its own. shared_bytes: those that are the widest network's.
        instructions: of an inference: the kernels' estimates, or counted where the firmware was built and run.
        macs: executed, with what stages compute twice.
    """

    percent: float
    arena_bytes: int
    scratch_bytes: int
    weights_bytes: int
    shared_bytes: int
    instructions: int
    macs: int


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
        widths: of a network at several, the widest first: RAM and flash are those of the firmware with all of them,
            work, time and layers the widest one's.
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
    widths: tuple[WidthCost, ...] = ()

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
