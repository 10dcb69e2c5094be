"""What a kernel is: one way to compute one node in C.

A kernel factory looks at a node (`Site`) and a `Core` and returns a `Kernel`, or None where it doesn't apply. What the
core must have for it is said where it is registered, so that a factory asks for features only to estimate costs.
`candidates` asks every factory registered for the op's class; the planner chooses among them by cost. Kernels hold all
decisions; the C is in the headers of `runtime/`: a kernel's function calls one of theirs with constants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache, wraps
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from tinycompile.dtypes import INT8, INT16, UINT8, DType
from tinycompile.ir import Array, Op, Site
from tinycompile.kernels.equivalent import equivalents
from tinycompile.kernels.function import Function
from tinycompile.kernels.hot_code import HotFunction
from tinycompile.kernels.together import Together
from tinycompile.lazy import lazy
from tinycompile.numerics.latitude import RequantShape
from tinycompile.ops._typed import Typed
from tinycompile.targets.core import FEATURES, Core


@dataclass(frozen=True, eq=False)
class Deferred:
    """An array that is computed when somebody reads it: the planner prices many kernels and codegen prints few.

    Attributes:
        size: elements, known before they are. dtype: their NumPy type.
        compute: makes the one-dimensional array.
    """

    size: int
    dtype: DTypeLike
    compute: Callable[[], Array]


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant array of a layer, placed in `<model>_weights.c` as `<model>_<layer>_<suffix>`.

    Attributes:
        ctype: the C element type; a structured `values` dtype needs a struct type of the same field order.
        content: the one-dimensional array, or how to compute it.
        comment: one line on layout and meaning.
        of_shapes: its values follow from shapes alone: layers of the same shapes share it, whatever their weights.
        windows: of a stream of groups of weights (`packed_pixels.group_stream`), in how many parts of equal length a
            channel's weights are of which a narrower network has the first ones; 0 for other arrays.
        lent: another model's array that it is a part of, and the first element: it takes no flash of its own.
    """

    suffix: str
    ctype: str
    content: Array | Deferred
    comment: str = ""
    of_shapes: bool = False
    windows: int = 0
    lent: tuple[Constant, int] | None = None

    @lazy
    def values(self) -> Array:
        """The one-dimensional array.

        Raises:
            ValueError: what was computed isn't what was announced, and planned with: a defect of the kernel.
        """
        if not isinstance(self.content, Deferred):
            return self.content
        found = self.content.compute()
        if (found.shape, found.dtype) != self.layout:
            raise ValueError(f"{self.suffix} was announced as {self.layout} and is {found.dtype}{found.shape}")
        return found

    @property
    def layout(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and element type; known without the values."""
        content = self.content
        return ((content.size,) if isinstance(content, Deferred) else content.shape), np.dtype(content.dtype)

    def made_by(self, content: Deferred) -> Constant:
        """The same array, computed in another way."""
        copy = object.__new__(Constant)
        copy.__dict__.update(self.__dict__, content=content)
        copy.__dict__.pop("values", None)
        return copy

    @lazy
    def bytes(self) -> int:
        """Size in flash; known without the values."""
        shape, dtype = self.layout
        return prod(shape) * dtype.itemsize


@dataclass(frozen=True)
class Coding:
    """What became of constants: shown in the report.

    Attributes:
        plain_bytes: without codes, of what is coded.
        coded_bytes: in flash.
        entropy_bytes: that no code of single bytes needs fewer than, and none at all where bytes come independently.
    """

    plain_bytes: int
    coded_bytes: int
    entropy_bytes: int

    def __add__(self, other: Coding) -> Coding:
        return Coding(
            self.plain_bytes + other.plain_bytes,
            self.coded_bytes + other.coded_bytes,
            self.entropy_bytes + other.entropy_bytes,
        )

    def __str__(self) -> str:
        part = self.coded_bytes / self.plain_bytes
        return (
            f"{self.plain_bytes:,} bytes coded as {self.coded_bytes:,} ({part:.1%}; their entropy is "
            f"{self.entropy_bytes:,})"
        )


@dataclass(frozen=True)
class Sweeps:
    """In which order a kernel reads its constants, which is what a memory behind a cache costs by.

    Attributes:
        times: how often it reads each byte.
        piece: bytes that it reads from the first to the last before it reads the same ones again; None for all.
        between: bytes of other data that it reads or writes in each of these sweeps, about.
    """

    times: int
    piece: int | None = None
    between: int = 0


@dataclass(frozen=True)
class CodeSize:
    """Machine code in bytes, as GCC makes it for an Arm core.

    Attributes:
        own: of the function and of those that are made for it.
        shared: of block functions that others call as well, by name: a firmware has each of them once.
    """

    own: int
    shared: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, eq=False)
class Half:
    """What one of two cores computes of a layer.

    Attributes:
        reads: of each operand in RAM that is divided, the bytes [first, last); of others everything.
        writes: of the output.
        channels: where it is these channels, of operands and of the output, and not rows.
        offsets: of each constant, elements in front of those that it reads; empty for none.
        pixel: bytes from a position's channels to the next one's; 0 for those of the last axis.
    """

    kernel: Kernel
    reads: Mapping[int, tuple[int, int]]
    writes: tuple[int, int]
    channels: range | None = None
    offsets: tuple[int, ...] = ()
    pixel: int = 0


@dataclass(frozen=True, eq=False)
class Kernel:
    """A node's implementation.

    Attributes:
        variant: the technique, e.g. "pointwise_lane"; shown in the report.
        function: the C function to call, or None where no code is needed (`alias_of` is set).
        constants: its constant arguments.
        scratch_bytes: working memory needed during the call only, 8-byte aligned, passed as `void *scratch`.
        instructions: estimated executed instructions of one call on the target.
        cycles: estimated cycles of one call, where they and not instructions decide (`Pipeline.single_loads`).
        sweeps: how a call reads its constants; None where nobody has counted.
        copies: how it reads the copy of its constants that it makes in scratch, if it does.
        operand_sweeps, result_sweeps: how often a call goes through its image and its result, for some channels or for
            one in each.
        calls: in one inference; `instructions`, `cycles` and `stalls` are those of all of them.
        ahead: it has the next piece of that copy made while it reads one.
        stalls: cycles that a call waits for its constants, by what the board says of its memories; 0 where they cost
            nothing.
        fetches: the same for its code.
        spared_by_rows: of these, what a kernel for some rows of the image hasn't to do: padding above and below, making
            room for more rows.
        code_bytes: estimated machine code of the function, by which kernels are chosen: with some of the block
            functions that it shares with others.
        code: what builds have of it; None where nobody has measured, for `code_bytes`.
        hot: the functions whose loops are long; all others have loops of a few hundred bytes. None where nobody has
            counted.
        overlap: per operand index, the distance d in bytes such that output 0 may share memory with that operand
            as long as `operand_offset - output_offset >= d`. Operands not listed may not overlap the output.
        in_place: the output may be exactly in an operand's memory, at `in_place_at` (which `overlap` doesn't cover: it
            allows all larger ones as well).
        in_place_operand: which one.
        in_place_at: bytes from the output to that operand; below 0 where the output lies further on, for kernels that
            begin with rows of an earlier step.
        alias_of: the output *is* this operand's memory, or a piece of it: nothing is executed.
        alias_offset: where in that memory it begins, in bytes.
        parts: per operand index its place inside output 0, in bytes: operands that are to be computed there, so that
            nothing is left to do but what `function` says for the others (concatenation along the outermost axis).
        notes: facts for the report ("requantisation": "smmla", "reason": ...).
        requant: of a requantisation that was solved, what is in the code.
        coding: of constants that are decoded in a call.
        codable: bytes of flash that a code would save, where these count before instructions.
        halves: on two cores, what each computes, one behind the other in scratch; all other figures are those of the
            slower one. Empty where one core computes everything.
        together: where two cores compute it together by one function; figures are those of the slower one.
        core: which one that is, where one of two computes everything.
        lag: cycles beyond all of these, in the price: a core that is slower than the first one, and what cores wait for
            each other where they differ.
        bytewise: operands and outputs may begin at any byte: it goes byte by byte, or loads words from anywhere.
    """

    variant: str
    function: Function | None
    constants: tuple[Constant, ...] = ()
    scratch_bytes: int = 0
    instructions: int = 0
    cycles: int | None = None
    sweeps: Sweeps | None = None
    copies: Sweeps | None = None
    operand_sweeps: int = 1
    result_sweeps: int = 1
    calls: int = 1
    ahead: bool = False
    stalls: int = 0
    fetches: int = 0
    spared_by_rows: int = 0
    code_bytes: int = 0
    code: CodeSize | None = None
    hot: tuple[HotFunction, ...] | None = None
    overlap: dict[int, int] = field(default_factory=dict[int, int])
    in_place: bool = False
    in_place_operand: int = 0
    in_place_at: int = 0
    alias_of: int | None = None
    alias_offset: int = 0
    parts: dict[int, int] = field(default_factory=dict[int, int])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    requant: RequantShape | None = None
    coding: Coding | None = None
    codable: int = 0
    halves: tuple[Half, ...] = ()
    together: Together | None = None
    core: int = 0
    lag: int = 0
    bytewise: bool = False

    if not TYPE_CHECKING:

        def __init__(self, variant, function, constants=(), scratch_bytes=0, instructions=0, **others) -> None:
            """A frozen dataclass's own takes ten times as long, and prices make many kernels."""
            own = self.__dict__
            own.update(_DEFAULTS, variant=variant, function=function, constants=constants, scratch_bytes=scratch_bytes)
            own.update(instructions=instructions, overlap={}, parts={}, notes={})
            own.update(others)
            if len(own) > len(_DEFAULTS):
                raise TypeError(f"a kernel has no {', '.join(own.keys() - _DEFAULTS.keys())}")

    @property
    def distances(self) -> dict[int, int]:
        """Per operand that the output may share memory with, its distance: exact for `in_place`, else at least."""
        return {self.in_place_operand: self.in_place_at} if self.in_place else self.overlap

    @lazy
    def price(self) -> int:
        """What kernels of one board are compared by: cycles where they are known, which on the cores that state them
        are about as many as other kernels' instructions, and what they wait for the board's memories.
        """
        return (self.instructions if self.cycles is None else self.cycles) + self.stalls + self.fetches + self.lag

    def but(self, **fields: Any) -> Kernel:
        """With these fields; `dataclasses.replace` takes ten times as long, and prices make kernels of kernels."""
        copy = object.__new__(Kernel)
        copy.__dict__.update(self.__dict__, **fields)
        copy.__dict__.pop("price", None)
        if "constants" in fields:
            copy.__dict__.pop("constant_bytes", None)
        return copy

    def repeated(self, times: int) -> Kernel:
        """Called so many times."""
        cycles = None if self.cycles is None else self.cycles * times
        work = self.instructions * times
        waits = {"stalls": self.stalls * times, "fetches": self.fetches * times}
        return self.but(instructions=work, cycles=cycles, calls=self.calls * times, **waits)

    @lazy
    def constant_bytes(self) -> int:
        """In flash, of its own."""
        return sum(constant.bytes for constant in self.constants if constant.lent is None)

    @property
    def code_size(self) -> CodeSize:
        """Of its function: `code`, or all of `code_bytes` as its own."""
        return self.code or CodeSize(self.code_bytes)

    @property
    def read_bytes(self) -> int:
        """Of constants that it reads in flash, its own and lent ones."""
        return sum(constant.bytes for constant in self.constants)


_DEFAULTS = {each.name: each.default for each in fields(Kernel)}

Factory = Callable[[Site, Core], Kernel | None]
_FACTORIES: dict[type[Op], list[Factory]] = {}


@dataclass(frozen=True)
class _Condition:
    """What `kernel_for` says of a factory, which is the one that it was given.

    Attributes:
        dtype, needs, unless: its arguments.
    """

    factory: Factory
    dtype: DType | None
    needs: Collection[str]
    unless: Collection[str]


_CONDITIONS: dict[Factory, _Condition] = {}
"""By what is in `_FACTORIES`."""


def kernel_for(
    *ops: type[Op], dtype: DType | None = INT8, needs: Collection[str] = (), unless: Collection[str] = ()
) -> Callable[[Factory], Factory]:
    """Decorator: offer a factory for these operators.

    Args:
        dtype: of operand 0, which says in which arithmetic an operator computes; None for any, where the C only moves
            elements, or the factory looks itself. Nodes with other operands aren't offered the factory.
        needs: features of the core without which the C can't be compiled or makes no sense.
        unless: features that have better kernels: cores with one of them aren't offered this one.

    Raises:
        ValueError: nothing is called that.
    """
    unknown = sorted({*needs, *unless}.difference(FEATURES))
    if unknown:
        raise ValueError(f"there is no feature {unknown[0]!r}; features are {', '.join(FEATURES)}")

    def register(factory: Factory) -> Factory:
        @wraps(factory)
        def offered(site: Site, core: Core) -> Kernel | None:
            fits = core.features.issuperset(needs) and core.features.isdisjoint(unless)
            return factory(site, core) if fits and (dtype is None or dtype == _dtype_of(site)) else None

        for op in ops:
            _FACTORIES.setdefault(op, []).append(offered)
        _CONDITIONS[offered] = _Condition(factory, dtype, needs, unless)
        return offered

    return register


def _dtype_of(site: Site) -> DType | None:
    """Of operand 0, if there is one and it has what this type usually has: a scale."""
    op, inputs = site.node.op, site.sig.inputs
    if not inputs or (inputs[0].dtype in _SCALED and isinstance(op, Typed) and op.is_plain(site.sig)):
        return None
    return inputs[0].dtype


_SCALED = (INT8, INT16, UINT8)


Beaten = Callable[[int, int, int], bool]
"""Whether nobody wants a kernel of so much work (instructions, or cycles where they are known), bytes of scratch and
bytes of flash: said before it is made."""

Tiling = Callable[[Site, Core, int, Beaten], Iterable[Kernel]]
_TILINGS: dict[type[Op], list[tuple[frozenset[str], Tiling]]] = {}


Decoding = Callable[[Site, Core], Iterable[Kernel]]
_DECODINGS: dict[type[Op], list[tuple[frozenset[str], Decoding]]] = {}


def decoding_for(op: type[Op], needs: Collection[str] = ()) -> Callable[[Decoding], Decoding]:
    """Decorator: kernels of an operator in int8 that decode their constants tile by tile.

    They cost flash less and everything else more, and making them takes the values of constants, so only who wants
    coded constants asks for them.

    Args:
        needs: features of the core, as in `kernel_for`.
    """

    def register(decoding: Decoding) -> Decoding:
        _DECODINGS.setdefault(op, []).append((frozenset(needs), decoding))
        return decoding

    return register


def decodings(site: Site, core: Core) -> Iterator[Kernel]:
    """All kernels of `decoding_for`, those for operators that a node can be seen as included."""
    if _dtype_of(site) == INT8:
        for needs, decoding in _DECODINGS.get(type(site.node.op), ()):
            if core.features.issuperset(needs):
                yield from decoding(site, core)
    for other in equivalents(site):
        yield from decodings(other, core)


def tiling_for(op: type[Op], needs: Collection[str] = ()) -> Callable[[Tiling], Tiling]:
    """Decorator: kernels of an operator in int8 that bring their constants to RAM tile by tile, each byte once.

    They cost more instructions than those that leave them where they are, so only boards whose memories cost something
    are offered them. They are asked how many places for tiles scratch should have: with 2, one is filled while the
    other is read.

    Args:
        needs: features of the core, as in `kernel_for`.
    """

    def register(tiling: Tiling) -> Tiling:
        _TILINGS.setdefault(op, []).append((frozenset(needs), tiling))
        return tiling

    return register


def never(work: int, scratch: int, flash: int) -> bool:
    """A `Beaten` for those who want all."""
    return False


def tilings(site: Site, core: Core, places: int, beaten: Beaten = never) -> Iterator[Kernel]:
    """All kernels of `tiling_for`, those for operators that a node can be seen as included."""
    if _dtype_of(site) == INT8:
        for needs, tiling in _TILINGS.get(type(site.node.op), ()):
            if core.features.issuperset(needs):
                yield from tiling(site, core, places, beaten)
    for other in equivalents(site):
        yield from tilings(other, core, places, beaten)


@lru_cache(1024)
def _fitting(factories: tuple[Factory, ...], features: frozenset[str]) -> list[_Condition]:
    """Those for a core with these features; prices ask for every node."""
    asked = (_CONDITIONS[factory] for factory in factories)
    return [each for each in asked if features.issuperset(each.needs) and features.isdisjoint(each.unless)]


def candidates(site: Site, core: Core) -> Iterator[Kernel]:
    """All kernels that can compute the node on this core."""
    dtype = _dtype_of(site)
    for condition in _fitting(tuple(_FACTORIES.get(type(site.node.op), ())), core.features):
        if condition.dtype is None or condition.dtype == dtype:
            kernel = condition.factory(site, core)
            if kernel is not None:
                yield kernel
    for other in equivalents(site):
        yield from candidates(other, core)


def safe_distance(steps: Iterator[tuple[int, int]]) -> int:
    """Smallest d such that `input_offset - output_offset >= d` keeps every pending read intact.

    Args:
        steps: in execution order, (lowest input byte offset that is still to be read when the step's writes
            happen, one past the highest output byte offset written by the end of the step).
    """
    return max((written - pending for pending, written in steps), default=0)


def structured(**fields: Array) -> Array:
    """A structured array, one row per channel, whose fields keep their order: becomes an array of C structs."""
    dtype = np.dtype([(name, values.dtype) for name, values in fields.items()])
    rows = np.empty(len(next(iter(fields.values()))), dtype)
    for name, values in fields.items():
        rows[name] = values
    return rows
