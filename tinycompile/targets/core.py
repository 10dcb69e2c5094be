"""What a core is, as far as kernels, costs and cycle models care: data that a board's and its toolchain's files say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tinycompile.targets.toolchain import Toolchain

FEATURES: Mapping[str, str] = {
    "dsp": "pairs of 16-bit products, bytes in parallel: Arm's DSP extension; kernels have assembly for it",
    "mve": "vectors of 16 bytes: Helium; kernels have intrinsics for it",
    "rvv": "vectors of 128 bits or more: RISC-V's V, or Zve32x; kernels have assembly for it",
    "fpu": "float32 in hardware",
    "dfpu": "float64 in hardware",
    "thumb2": "32-bit Thumb encodings: every register in every instruction",
    "long_multiply": "32 x 32 -> 64 bits in one instruction",
    "multiply_accumulate": "32-bit products added to a register in one instruction, loads indexed by a register",
    "many_registers": "some 30 general registers: blocks of sums that Thumb's 13 have no room for",
    "saturation": "clamping to a number of bits in one instruction",
    "unaligned": "words are loaded and stored at any address",
    "vector_offset": "the vector table may be anywhere, so that a bootloader can come first",
    "stack_limit": "a register below which the stack can't grow without a fault",
    "cache": "caches that DMA has to take care of",
}
"""What kernels may ask of a core, costs depend on, or the firmware around them uses."""

OLD_FEATURES = ("dsp", "mve", "fpu")
"""Keys of board.toml that features were before there was `arch`."""


@dataclass(frozen=True)
class Pipeline:
    """What the order of instructions is chosen by, and among variants of a block function the variant.

    Attributes:
        dual_issue: two instructions begin in a cycle, but none beside LDM.
        single_loads: LDR begins beside a product, and LDRD beside nothing: words that are loaded one by one take more
            instructions and fewer cycles. Kernels for such a core state their cycles (`Kernel.cycles`).
        cycles_per_instruction: of a whole inference, from and to; until `profile` knows more.
    """

    dual_issue: bool = False
    single_loads: bool = False
    cycles_per_instruction: tuple[float, float] = (1.0, 2.0)


PIPELINES: Mapping[str, Pipeline] = {
    "m0plus": Pipeline(cycles_per_instruction=(1.3, 1.7)),
    "m3": Pipeline(cycles_per_instruction=(1.6, 2.0)),
    "m4": Pipeline(cycles_per_instruction=(1.2, 1.5)),
    "m7": Pipeline(dual_issue=True, single_loads=True, cycles_per_instruction=(0.5, 0.8)),
    "m33": Pipeline(cycles_per_instruction=(1.2, 1.5)),
    "m55": Pipeline(dual_issue=True, cycles_per_instruction=(1.2, 1.8)),
    "m85": Pipeline(dual_issue=True, cycles_per_instruction=(1.1, 1.7)),
}
"""By the names that boards give; others issue one instruction at a time.

Their cycles per instruction are what `profile` found for models of `../shared`, rounded outwards (M4: 1.26 to 1.46, M7:
0.53 to 0.74, M33: 1.32 to 1.45). Of other cores nobody knows more than that one is few and two are many.
"""


@dataclass(frozen=True)
class Core:
    """A core.

    Attributes:
        name: for people and reports, e.g. "cortex-m7"; nothing depends on it.
        arch: the instruction set's name in the toolchain's file, e.g. "armv7e-m".
        features: keys of `FEATURES`: what the architecture implies, and what the core has beyond.
        pipeline: which order of instructions suits it, and which model estimates its cycles: e.g. "m4", "m7".
        strict: words are loaded and stored at multiples of 4 only, halfwords at multiples of 2 (`--align strict`).
        compact: code counts (`--optimize size`): no variant that takes more instructions for fewer cycles.
    """

    name: str
    arch: str
    features: frozenset[str] = frozenset()
    pipeline: str = "m4"
    strict: bool = False
    compact: bool = False

    @cached_property
    def issue(self) -> Pipeline:
        """What its pipeline is like, as far as code is meant to care."""
        found = PIPELINES.get(self.pipeline, Pipeline())
        return replace(found, single_loads=False) if self.compact else found

    def has(self, feature: str) -> bool:
        """Whether it has a feature.

        Raises:
            ValueError: nothing is called that.
        """
        if feature not in FEATURES:
            raise ValueError(f"there is no feature {feature!r}; features are {', '.join(FEATURES)}")
        return feature in self.features


def core_of(table: Mapping[str, Any], toolchain: Toolchain) -> Core:
    """The `[core]` table of a board.toml: `arch`, `features` and `pipeline`, or the keys of before.

    Raises:
        ValueError: an architecture or a feature that nobody knows. KeyError: a key is missing.
    """
    old = [key for key in (*OLD_FEATURES, "schedule") if key in table]
    if "arch" not in table:
        return _by_old_keys(table, toolchain)
    if old:
        raise ValueError(f"[core]: {old[0]} is a key of boards without arch; say it by features and pipeline")
    arch = str(table["arch"])
    if arch not in toolchain.architectures:
        known = ", ".join(toolchain.architectures)
        raise ValueError(f"[core]: the toolchain {toolchain.name} knows no arch {arch!r}; it knows {known}")
    features = _checked({*toolchain.architectures[arch], *table.get("features", ())})
    return Core(str(table["name"]), arch, features, str(table["pipeline"]))


def _by_old_keys(table: Mapping[str, Any], toolchain: Toolchain) -> Core:
    """`name`, `dsp`, `mve`, `fpu` and `schedule`: the name stands for the rest, which the toolchain's file lists."""
    name = str(table["name"])
    known = toolchain.cores.get(name, toolchain.other_cores)
    arch = str(known["arch"])
    features = {*toolchain.architectures[arch], *known.get("features", ())}.difference(OLD_FEATURES)
    features |= {feature for feature in OLD_FEATURES if table.get(feature, False)}
    return Core(name, arch, _checked(features), str(known.get("pipeline", table.get("schedule", "m4"))))


def _checked(features: Iterable[str]) -> frozenset[str]:
    unknown = sorted({*features}.difference(FEATURES))
    if unknown:
        raise ValueError(f"there is no feature {unknown[0]!r}; features are {', '.join(FEATURES)}")
    return frozenset(features)
