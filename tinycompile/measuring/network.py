"""What a planned model takes by the measures of its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from tinycompile import interpreter
from tinycompile.copy_choice import CodeSizes
from tinycompile.ir import Array, TensorType
from tinycompile.kernels.base import Function
from tinycompile.layout import Layout
from tinycompile.measuring.firmware import Measured
from tinycompile.measuring.fixed import CONSTANT_TABLE_BYTES, Fixed
from tinycompile.measuring.known import Measures
from tinycompile.measuring.unit import Unit, units_of
from tinycompile.planner import Planned
from tinycompile.samples import noise
from tinycompile.targets import Memory

CALLER_CODE_BYTES = 3
"""By which code that calls a layer alone is longer than what is added to a model's: it keeps registers and returns."""

CALLER_STACK_BYTES = 8
"""What calling several layers takes more than calling one: registers, and arguments for those with many."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """Of a model.

    Attributes:
        layers: of each what was measured; None for those that weren't, or without code.
        base: of a model that computes nothing.
        measures: where they are from.
    """

    planned: Planned
    layers: tuple[Measured | None, ...]
    base: Measured
    measures: Measures

    @property
    def known(self) -> tuple[bool, ...]:
        """Of each layer, whether it was measured; what executes nothing needn't be."""
        pairs = zip(self.planned.kernels, self.layers, strict=True)
        return tuple(kernel.function is None or found is not None for kernel, found in pairs)

    @property
    def complete(self) -> bool:
        """Whether all are known."""
        return all(self.known)

    def instructions(self, copied: Set[str] = frozenset()) -> tuple[int, ...]:
        """Of each layer, those that weren't measured by their estimates.

        Args:
            copied: symbols of functions in RAM.
        """
        return tuple(
            kernel.instructions
            if found is None
            else (found.instructions if copied.isdisjoint(names) else found.far_instructions) - self.base.instructions
            for kernel, found, names in zip(self.planned.kernels, self.layers, self.functions, strict=True)
        )

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of functions and tables by their symbols, each of which the firmware has once."""
        once, others = dict[str, int](), dict[tuple[str, str], int]()
        for found, symbols in zip(self.layers, self._symbols, strict=True):
            own = Counter[str]()
            for section in () if found is None else found.sections:
                size = -(-section.bytes // 4) * 4
                if section.name in symbols:
                    own[symbols[section.name]] += size
                else:
                    others[section.name, section.content] = size
            once |= own
        total = Counter(once)
        for (name, _), size in others.items():
            total[name] += size
        return total

    @cached_property
    def _symbols(self) -> list[dict[str, str]]:
        """Of each layer, by their names in C, what tells its specialised functions from others' with the same names."""
        numbers, layers = dict[str, dict[Function, int]](), list[dict[str, str]]()
        for kernel in self.planned.kernels:
            called = () if kernel.function is None else kernel.function.all_called
            stems, symbols = Counter(each.stem for each in called), dict[str, str]()
            for each in called:
                known = numbers.setdefault(each.stem, {})
                number = known.setdefault(each, len(known))
                if stems[each.stem] == 1:
                    symbols[each.stem] = f"{each.stem}.{number}" if number else each.stem
            layers.append(symbols)
        return layers

    @property
    def code_sizes(self) -> CodeSizes:
        """By which it is chosen what start-up copies."""
        return CodeSizes(self.functions, self.sizes)

    def fixed(self, layout: Layout, copies: Memory | None) -> Fixed:
        """What the firmware has beside its layers; arguments and errors as `Measures.fixed`'s."""
        return self.measures.fixed(layout, self.library, copies)

    def code_bytes(self, fixed: Fixed, constants: Sequence[int]) -> int:
        """All of the firmware's flash without its constant arrays, where all layers are known.

        Args:
            constants: bytes of each array; GCC aligns them to words.
        """
        callers = [found.caller_bytes - self.base.caller_bytes for found in self.layers if found is not None]
        called = sum(callers) - CALLER_CODE_BYTES * max(0, len(callers) - 1)
        return (
            fixed.flash_bytes
            + sum(self.sizes.values())
            + called
            + sum(CONSTANT_TABLE_BYTES + -size % 4 for size in constants)
        )

    def far_calls(self, copied: Set[str]) -> tuple[int, int]:
        """Bytes of what the linker puts between functions in flash and those copied to RAM: in flash, and with those.

        Args:
            copied: symbols of functions.
        """
        core, machine = self.measures.board.core, self.measures.board.toolchain.machine
        each = 0 if machine != "EM_ARM" else 8 if core.has("thumb2") else 16
        known = [(found, names) for found, names in zip(self.layers, self.functions, strict=True) if found is not None]
        into = {names[0] for _, names in known}.intersection(copied)
        back = {name for found, names in known if not copied.isdisjoint(names) for name in found.library}
        return each * len(into), each * len(back)

    @property
    def functions(self) -> list[tuple[str, ...]]:
        """Of each layer its own function and those that this calls, by their symbols."""
        return [
            () if found is None else tuple(symbols.get(name, name) for name in found.functions)
            for found, symbols in zip(self.layers, self._symbols, strict=True)
        ]

    @property
    def library(self) -> set[str]:
        """Functions of the C library that are called."""
        return {name for found in self.layers if found is not None for name in found.library}

    @property
    def stack_bytes(self) -> int:
        """Of an inference; with registers that a model of several layers keeps."""
        return CALLER_STACK_BYTES + max(found.stack_bytes for found in (self.base, *self.layers) if found is not None)


def measured_network(
    planned: Planned, measures: Measures, *, missing: bool, typical: bool = False
) -> Measurement | None:
    """Look up a model's layers.

    Args:
        missing: measure those that aren't known.
        typical: its constants are those of typical weights.

    Returns:
        None where nothing is known.

    Raises:
        ToolMissingError, ToolFailedError: as `Measures.measure`.
    """
    units = units_of(planned, typical=typical)
    if missing:
        measures.measure(unit for unit in units if unit is not None)
    base = measures.get(measures.nothing)
    if base is None:
        return None
    alone = [None if unit is None else measures.get(unit) for unit in units]
    units = _with_values(_sharing(units, alone), alone, planned, typical)
    if missing:
        measures.measure(unit for unit in units if unit is not None)
    found = tuple(None if unit is None else measures.get(unit) for unit in units)
    return Measurement(planned, found, base, measures)


def _with_values(
    units: Sequence[Unit | None], alone: Sequence[Measured | None], planned: Planned, typical: bool
) -> list[Unit | None]:
    """The layers with values that their operands have in the model, where it depends on those what they execute.

    Functions of floats, which cores without an FPU compute in software, take fewer instructions for zeros.
    """
    if not any(found is not None and found.varies for found in alone):
        return list(units)
    graph, values = planned.graph, dict[str, Array]()
    if not typical:
        values = interpreter.run(graph, [noise(graph.types[name])[0] for name in graph.inputs])
    return [
        unit
        if unit is None or found is None or not found.varies
        else replace(unit, values=tuple(_value(unit.graph.types[name], values.get(name)) for name in unit.graph.inputs))
        for unit, found in zip(units, alone, strict=True)
    ]


def _value(t: TensorType, known: Array | None) -> Array:
    """Of an operand, as it is in the model; where that isn't known, any, of which half are zeros behind a ReLU."""
    if known is not None:
        return known
    found = noise(t)[0]
    if t.dtype.is_integer and t.quant is not None and t.quant.is_per_tensor:
        low, high = t.dtype.range
        if t.zero_point == low:
            found[found < (low + high + 1) // 2] = low
    return found


def _sharing(units: Sequence[Unit | None], alone: Sequence[Measured | None]) -> list[Unit | None]:
    """The layers as their model has them: with functions that several of them call.

    Those that only functions for the same shapes call get the same constants from all, if what GCC made of them is the
    same in all of these: they are specialised like those with a single caller.
    """
    layers, callers, codes = Counter[Function](), dict[str, set[str]](), dict[str, set[tuple[str, ...]]]()
    known = [(u, u.kernel.function, m) for u, m in zip(units, alone, strict=True) if u is not None and m is not None]
    for _, function, measured in known:
        if function is not None:
            layers[function] += 1
            for name in measured.functions[1:]:
                callers.setdefault(name, set()).add(function.stem)
                made = (each.content for each in measured.sections if each.is_code and each.name == name)
                codes.setdefault(name, set()).add(tuple(made))
    several = {name for name, found in callers.items() if len(found) > 1 or len(codes[name]) > 1}
    sharing = dict[Unit, Unit]()
    for unit, function, measured in known:
        own = measured.functions[:1] if function is not None and layers[function] > 1 else ()
        sharing[unit] = replace(unit, shared=frozenset(several.intersection(measured.functions[1:]).union(own)))
    return [None if unit is None else sharing.get(unit, unit) for unit in units]
