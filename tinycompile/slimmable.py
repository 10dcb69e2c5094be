"""Networks of several widths in one firmware: the narrower ones read the weights of the widest one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from tinycompile.codegen.linker import region_name
from tinycompile.costs import WidthCost
from tinycompile.errors import TinycompileWarning, UsageError
from tinycompile.ir import Array, Graph
from tinycompile.kernels.array_pieces import Lender
from tinycompile.kernels.base import CodeSize, Constant, Function, Kernel
from tinycompile.kernels.merged import merged, with_callees
from tinycompile.layout import Layout
from tinycompile.options import Options
from tinycompile.planner import Planned
from tinycompile.plans import Plans
from tinycompile.targets import Board
from tinycompile.toolchain import RegionOverflowError

ROUNDS = 6
"""How often the networks are planned: again where flash runs short, or where the widest one's plan has changed."""

WIDTH_CODE_BYTES = 600
"""Of a width's own functions beside those of its layers."""

CALL_BYTES = 60
"""Of code and numbers of a function that calls one for several shapes."""

MORE = 1.2
"""Times a specialised function's code, of one for several shapes."""

SLOWER = 1.02
"""Times the instructions: 0.1 to 7 % more were counted."""

Place = Callable[[Sequence[Plans]], tuple[list[Planned], Layout]]


def placed_together(plans: Sequence[Plans], place: Place, *, lean: bool = False) -> tuple[list[Planned], Layout]:
    """The plans of several widths, the widest first: it is planned as if it was alone, as long as flash allows it.

    Args:
        place: as `lowering.place`. lean: narrower networks' functions that are alike are made one. Else constants are
            shared where that takes few instructions, and where it takes more only if flash is short.
    """
    every: list[Plans] = list(plans)
    (widest, *_), _ = place(every[:1])
    short, thrifty, found = False, lean, None
    for _ in range(ROUNDS + 1 - lean):
        lender = Lender(widest.constants, widest.kernels)
        narrower = [each.sharing(lender, widest.arena_bytes, thrifty=thrifty) for each in every[1:]]
        planned, layout = place([every[0], *narrower])
        planned = _with_functions_in_common(planned) if lean else planned
        most, before, widest = every[0].room_together, widest, planned[0]
        settled = _same(before.constants, widest.constants)
        found = (planned, layout) if settled else found
        if most is not None and flash_bytes(planned) > most and not thrifty:
            thrifty, found = True, None
        elif most is not None and flash_bytes(planned) > most:
            every, short = _in_less(every, planned, most, widest_too=short), True
            (widest, *_), _ = place(every[:1])
        elif settled:
            break
    if found is None:
        text = "no plan of the widest network stays as it is beside the narrower ones"
        raise UsageError(text, hint="a larger --flash")
    return found


def _with_functions_in_common(planned: Sequence[Planned]) -> list[Planned]:
    """Functions that narrower networks' layers call and the widest one's don't, made one where they are alike."""
    widest = {each for kernel in planned[0].kernels if kernel.function for each in kernel.function.all_called}
    called = [
        each
        for network in planned[1:]
        for kernel in network.kernels
        if kernel.function
        for each in kernel.function.all_called
        if each not in widest
    ]
    found = merged(called)
    ones = {callee for each in found.values() for callee in each.callees}
    least = dict[Function, int]()  # code of those that were specialised
    others = dict[Kernel, tuple[Function, Function]]()
    for kernel in (each for network in planned[1:] for each in network.kernels if each.function):
        function = with_callees(kernel.function, found) if kernel.function else None
        one = next((each for each in function.all_called if each in ones), None) if function else None
        if function and one:
            others[kernel] = function, one
            least[one] = min(least.get(one, kernel.code_size.own), kernel.code_size.own)

    def of(kernel: Kernel) -> Kernel:
        if kernel not in others:
            return kernel
        function, one = others[kernel]
        size, own = kernel.code_size, least[one]
        name = f"{one.stem} of {own}"
        code = CodeSize(size.own - own + CALL_BYTES, {**size.shared, name: round(MORE * own)})
        cycles = None if kernel.cycles is None else round(SLOWER * kernel.cycles)
        return kernel.but(function=function, code=code, instructions=round(SLOWER * kernel.instructions), cycles=cycles)

    return [planned[0], *(replace(each, kernels=tuple(map(of, each.kernels))) for each in planned[1:])]


def _in_less(plans: Sequence[Plans], planned: Sequence[Planned], most: int, *, widest_too: bool) -> list[Plans]:
    """With less flash than they take: the narrower ones where that hasn't been tried, then the widest."""
    excess = flash_bytes(planned) - most
    widest, *narrower = map(_planned_bytes, planned)
    if widest_too:
        return [plans[0].with_room(widest - excess), *plans[1:]]
    rooms = (size + -excess * size // sum(narrower) for size in narrower)  # rounded down
    return [plans[0], *(each.with_room(room) for each, room in zip(plans[1:], rooms, strict=True))]


def _planned_bytes(planned: Planned) -> int:
    """Of constants and code, as its planner counts them."""
    code = {kernel.function.stem: kernel.code_bytes for kernel in planned.kernels if kernel.function}
    return planned.constant_bytes + sum(code.values())


def flash_bytes(planned: Sequence[Planned]) -> int:
    """Of constants and code, estimated: equal functions, and the block functions that they call, are there once."""
    called = {kernel.function: kernel for each in planned for kernel in each.kernels if kernel.function}
    sizes = [kernel.code_size for kernel in called.values()]
    blocks = {name: size for each in sizes for name, size in each.shared.items()}
    constants = sum(each.constant_bytes + WIDTH_CODE_BYTES for each in planned)
    return constants + sum(each.own for each in sizes) + sum(blocks.values())


def width_costs(planned: Sequence[Planned], options: Options, counted: Sequence[int] = ()) -> tuple[WidthCost, ...]:
    """Of each width, the widest first.

    Args:
        counted: instructions of each; none where these are estimates.
    """
    executed = counted or [each.instructions for each in planned]
    return tuple(
        WidthCost(
            float(label.replace("_", ".")),
            each.arena_bytes,
            each.scratch_bytes,
            each.constant_bytes,
            shared_bytes(each.kernels),
            instructions,
            each.macs,
        )
        for label, each, instructions in zip(options.width_labels, planned, executed, strict=True)
    )


def shared_bytes(kernels: Sequence[Kernel]) -> int:
    """Of a width's constants that are the widest one's, without what is put between their pieces."""
    found = 0
    for constants in (kernel.constants for kernel in kernels):
        lent = {constant.suffix for constant in constants if constant.lent}
        own = (c.bytes for c in constants if not c.lent and c.suffix.removesuffix("_own") in lent)
        found += sum(c.bytes for c in constants if c.lent) - sum(own)
    return found


def _same(some: Sequence[Constant], others: Sequence[Constant]) -> bool:
    return len(some) == len(others) and all(
        a is b or (a.layout == b.layout and np.array_equal(a.values, b.values))
        for a, b in zip(some, others, strict=True)
    )


def overflow(error: RegionOverflowError, board: Board, options: Options) -> int:
    """By how many bytes less flash another plan has to do with, where the linker had no room; 0 where there is none:
    without `--flash`, models alone keep enough free for all that estimates miss, which several widths of one are too
    close together for.
    """
    return error.excess.get(region_name(board.flash), 0) if options.widths else 0


def with_widths_of(models: Sequence[str | Path], options: Options) -> tuple[list[str | Path], Options]:
    """The files of all widths; what is said of the model's labels is true of all.

    Raises:
        UsageError: there are other models.
    """
    if len(models) != 1:
        raise UsageError("--width is for a single model", hint="build them one by one")
    files = [*models, *(width.path for width in options.widths)]
    return files, replace(options, labels=options.labels * len(files))


def check_widths_agree(sources: Sequence[Path], graphs: Sequence[Graph], weights: Sequence[int]) -> None:
    """Networks from the widest to the narrowest, with the bytes of their weights as the files have them.

    Raises:
        UsageError: a narrower network has more weights than a wider one, other inputs or outputs than the widest, or
            states.
    """
    widest = graphs[0]
    for (wide, more), (narrow, fewer) in pairwise(zip(sources, weights, strict=True)):
        if fewer > more:
            raise UsageError(
                f"it has more weights than {wide.name}, which is to be wider",
                where=str(narrow),
                why=f"{fewer:,} bytes here, {more:,} there",
                hint="the model is the widest network, as in `build wide.onnx --width 0.5=half.onnx`",
            )
    for source, graph in zip(sources, graphs, strict=True):
        if graph.states:
            raise UsageError(
                "a network with states can't change its width",
                where=str(source),
                why="what a step leaves for the next one has another meaning at another width",
                hint="without --width, or without --state",
            )
        for kind in ("input", "output"):
            mine, theirs = _edges(graph, kind), _edges(widest, kind)
            if mine != theirs:
                raise UsageError(
                    f"the {kind}s are others than the widest network's",
                    where=str(source),
                    why=f"{mine} here, {theirs} in {sources[0].name}",
                    hint="networks of the same task: only what is between inputs and outputs gets narrower",
                )


def _edges(graph: Graph, kind: str) -> str:
    names = graph.inputs if kind == "input" else graph.outputs
    return ", ".join(f"{graph.types[name].dtype.name}{graph.types[name].shape}" for name in names) or "none"


def check_sharing(sources: Sequence[Path], planned: Sequence[Planned], imported: Callable[[Path], Graph]) -> None:
    """Warns of a narrower network that reads none of the widest one's constants.

    Args:
        imported: a file's graph, with the channels that are constant: passes leave them out, others in each width.

    Raises:
        UsageError: no layer's weights are a part of the widest one's, as the networks are others.
    """
    for source, each in zip(sources[1:], planned[1:], strict=True):
        if any(constant.lent for constant in each.constants):
            continue
        differences = _differences(imported(sources[0]), imported(source))
        why = next(filter(None, differences), None)
        if why is not None and all(differences):
            raise UsageError(
                f"no weights of it are parts of {sources[0].name}'s",
                where=str(source),
                why=why,
                hint="a network of the same supernet (docs/slimmable.md), or two models: `tinycompile build a b`",
            )
        text = f"{source.name} shares no weights: they are too few, or there is no RAM to put them together in"
        if why is None and any(_differences(planned[0].graph, each.graph)):
            text = f"{source.name} shares no weights: channels that are constant are left out, others in each width"
        if why is not None:
            text = f"{source.name} shares no weights: those that it could share are too few, and {why}"
        warnings.warn(text, TinycompileWarning, stacklevel=2)


def _differences(wide: Graph, narrow: Graph) -> list[str | None]:
    """Of each layer whose weights aren't a leading block of those of the layer at its place; None of the others."""
    found = list[str | None]()
    for (theirs, w), (mine, n) in zip(_weights(wide), _weights(narrow), strict=False):
        block = tuple(slice(size) for size in n.shape)
        if w.ndim != n.ndim or w[block].shape != n.shape:
            found.append(f"{_shape(n)} of layer {mine!r} can't be a part of {_shape(w)} of {theirs!r}")
            continue
        differs = 1 - np.count_nonzero(w[block] == n) / max(1, n.size)
        text = f"{differs:.0%} of the weights of layer {mine!r} are others than those of {theirs!r}"
        found.append(text if differs else None)
    return found


def _weights(graph: Graph) -> list[tuple[str, Array]]:
    """(layer, its largest constant) of those that have any with several axes."""
    found = list[tuple[str, Array]]()
    for node in graph.nodes:
        arrays = [graph.constants[name] for name in node.inputs if name in graph.constants]
        matrices = [array for array in arrays if array.ndim > 1]
        if matrices:
            found.append((node.name, max(matrices, key=lambda array: array.size)))
    return found


def _shape(weights: Array) -> str:
    return f"[{'x'.join(map(str, weights.shape))}]"
