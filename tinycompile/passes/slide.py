"""`--slide`: a network that is evaluated on overlapping windows computes in a step only what the step before hasn't.

The input becomes the rows that are new; what stays in the window is kept in states. The result is that of the whole
window, bit for bit: `slide_motion` finds the rows that move unchanged, `slide_rows` those that a step computes and
keeps. Here both become a graph of ordinary operators: parts of the layers, slices and concatenations of rows, delay
lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinycompile import interpreter
from tinycompile.dtypes import INT32
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node, Op, Source, State, TensorType, free_name
from tinycompile.ops.add import Add
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.delay_line import DelayLine
from tinycompile.ops.mean_of_sum import MeanOfSum
from tinycompile.ops.pad import Pad
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.passes.own_outputs import own_outputs
from tinycompile.passes.own_states import own_states
from tinycompile.passes.slide_averages import Average, averages_of
from tinycompile.passes.slide_motion import Divided, Moving, moves_nothing, moving, pads_itself, part_of
from tinycompile.passes.slide_rows import Step, rows_of


@dataclass(frozen=True)
class Window:
    """What slides.

    Attributes:
        input: name in the graph. axis: dimension of its tensor. step: rows that are new each time.
    """

    input: str
    axis: int
    step: int


def window_of(graph: Graph, text: str) -> Window:
    """What "[INPUT:]AXIS=STEP" means: the input's name, which may be missing where there is one; a dimension's number,
    or "time" for the first one after the batch; rows.

    Raises:
        UsageError: it means nothing.
    """
    place, _, step = text.rpartition("=")
    name, _, axis = place.rpartition(":")
    form = "--slide takes [INPUT:]AXIS=STEP, such as time=2 or x:1=2"
    if not step.isdecimal() or not (axis == "time" or axis.isdecimal()):
        raise UsageError(f"--slide {text!r} says no axis and step", hint=form)
    if name and name not in graph.inputs:
        raise UsageError(f"--slide: there is no input {name!r}", where=graph.name, why=f"{', '.join(graph.inputs)}")
    if not name and len(graph.inputs) != 1:
        why = f"the model has {len(graph.inputs)}: {', '.join(graph.inputs)}"
        raise UsageError("--slide doesn't say which input moves", where=graph.name, why=why, hint=form)
    return Window(name or graph.inputs[0], 1 if axis == "time" else int(axis), int(step))


def slide(graph: Graph, window: Window) -> Graph:
    """The graph of one step.

    Its states begin as if the window had been full of zeros: of zero points, where there are scales.

    Raises:
        UsageError: it has states already, there is no such window, or a step isn't a whole one for a layer.
    """
    if graph.states:
        why = f"{len(graph.states)} states carry over what was there before"
        raise UsageError("--slide is for models without memory", where=graph.name, why=why)
    _check(graph, window)
    found = moving(graph, window.input, window.axis, window.step)
    if found.misfits:
        raise _misfit(graph, window, found)
    step = rows_of(graph, found, averages_of(graph, found))
    return own_states(own_outputs(_Rewriting.of(graph, window, found, step).result()))


def blank(t: TensorType) -> Array:
    """What a window is full of before the first step."""
    value = 0 if t.quant is None else t.zero_point
    return np.full(t.shape, value, t.dtype.carrier)


def _check(graph: Graph, window: Window) -> None:
    shape = graph.types[window.input].shape
    if not 0 <= window.axis < len(shape):
        why = f"the input {window.input!r} is {graph.types[window.input]}"
        raise UsageError(f"--slide: there is no axis {window.axis}", where=graph.name, why=why)
    if not 0 < window.step < shape[window.axis]:
        what = f"--slide: a window of {shape[window.axis]} rows can't move by {window.step}"
        raise UsageError(what, where=graph.name, hint=f"a step from 1 to {shape[window.axis] - 1}")


def _misfit(graph: Graph, window: Window, found: Moving) -> UsageError:
    name, shift, stride = found.misfits[0]
    sizes = range(1, graph.types[window.input].shape[window.axis])
    fits = [n for n in sizes if not moving(graph, window.input, window.axis, n).misfits]
    return UsageError(
        f"--slide: a step of {window.step} rows is no whole step of every layer",
        where=graph.name,
        why=f"the input of {name!r} moves by {shift} rows, its window by {stride}",
        hint=f"a step of {', '.join(map(str, fits[:8]))}{' ...' if len(fits) > 8 else ' rows'}",
    )


@dataclass(eq=False)
class _Rewriting:
    """The graph of a step in the making.

    Attributes:
        pieces: by value that moves, what there is of its rows, and as which value.
        initial: every value of the window before the first step.
        sources: where pieces are in the source model.
        read, sums: what has been put together of a value's rows, and summed for an average.
        node_names: of the whole model's nodes and of all that are there.
        rewritten: the whole model's nodes whose names nodes of this graph have.
    """

    graph: Graph
    window: Window
    moving: Moving
    step: Step
    initial: dict[str, Array]
    types: dict[str, TensorType]
    nodes: list[Node] = field(default_factory=list[Node])
    states: list[State] = field(default_factory=list[State])
    pieces: defaultdict[str, dict[range, str]] = field(default_factory=lambda: defaultdict(dict[range, str]))
    read: dict[tuple[str, range], str] = field(default_factory=dict[tuple[str, range], str])
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    sums: dict[tuple[str, range], str] = field(default_factory=dict[tuple[str, range], str])
    node_names: set[str] = field(default_factory=set[str])
    rewritten: set[str] = field(default_factory=set[str])

    @staticmethod
    def of(graph: Graph, window: Window, found: Moving, step: Step) -> _Rewriting:
        before = {name: blank(graph.types[name]) for name in graph.inputs}
        names = {node.name for node in graph.nodes}
        values = interpreter.run(graph, before)
        return _Rewriting(graph, window, found, step, values, dict(graph.types), node_names=names)

    def result(self) -> Graph:
        """The graph. What is at the window's top depends on what is kept alone: computed first, it is out of the way of
        what is new. A line moves on as soon as nobody needs its first rows any more: `own_states` finds when.
        """
        entering = self._begin()
        early = self._tops()
        self._keep_if(self.window.input)
        for node in self.graph.nodes:
            name = node.outputs[0]
            if name in self.step.averages:
                self._average(self.step.averages[name])
            elif name not in self.moving.divided:
                self._whole(node)
            else:
                for run in self.step.rows[name].computed:
                    if (name, run) not in early:
                        self._compute(self.moving.divided[name], run)
                self._keep_if(name)
        outputs = tuple(self._all(name) for name in self.graph.outputs)
        inputs = tuple(entering if name == self.window.input else name for name in self.graph.inputs)
        return replace(
            self.graph,
            inputs=inputs,
            outputs=outputs,
            nodes=tuple(self.nodes),
            types=self.types,
            sources={**self.graph.sources, **self.sources},
            states=tuple(self.states),
        ).without_dead()

    def _begin(self) -> str:
        """The lines as they are when the step begins, and the input's new rows, whose name is returned."""
        for name, rows in self.step.rows.items():
            if rows.kept:
                line = self._value(f"{name}_kept", self._type(name, len(rows.kept)))
                self.pieces[name][rows.kept] = line
        (run,) = self.step.rows[self.window.input].computed
        entering = self._value(f"{self.window.input}_new", self._type(self.window.input, len(run)))
        self.pieces[self.window.input][run] = entering
        return entering

    def _tops(self) -> set[tuple[str, range]]:
        """The runs of rows that need nothing new, and the sums of the first rows."""
        done = set[tuple[str, range]]()
        for node in self.graph.nodes:
            name = node.outputs[0]
            if name in self.step.averages:
                average = self.step.averages[name]
                if average.first and self._has(node.inputs[0], average.first):
                    self._narrow_sum(average, average.first)
            elif name in self.moving.divided:
                for run in self.step.rows[name].computed[:-1]:
                    if self._is_there(self.moving.divided[name], run):
                        self._compute(self.moving.divided[name], run)
                        done.add((name, run))
        return done

    def _type(self, name: str, rows: int) -> TensorType:
        t, axis = self.graph.types[name], self.moving.motions[name].axis
        return replace(t, shape=(*t.shape[:axis], rows, *t.shape[axis + 1 :]))

    def _value(self, name: str, t: TensorType) -> str:
        found = free_name(name, self.types)
        self.types[found] = t
        return found

    def _emit(self, name: str, op: Op, inputs: Sequence[str], output: str) -> str:
        unique = free_name(name, self.node_names)
        self.node_names.add(unique)
        self.nodes.append(Node(unique, op, tuple(inputs), (output,)))
        return output

    def _replace(self, node: Node, op: Op, inputs: Sequence[str], output: str) -> str:
        """A node in another one's place, or one of several: the first has its name."""
        if node.name in self.rewritten:
            return self._emit(node.name, op, inputs, output)
        self.rewritten.add(node.name)
        self.nodes.append(Node(node.name, op, tuple(inputs), (output,)))
        return output

    def _is_there(self, divided: Divided, run: range) -> bool:
        """Whether all that a part of a node reads has been computed, or is given."""
        for operand, name in enumerate(divided.node.inputs):
            if operand in divided.readings:
                if not self._has(name, divided.readings[operand].rows(run)[0]):
                    return False
            elif name not in self.graph.constants and name not in self.graph.inputs:
                return False
        return True

    def _has(self, name: str, rows: range) -> bool:
        return {row for piece in self.pieces[name] for row in _common(rows, piece)} == set(rows)

    def _compute(self, divided: Divided, run: range) -> None:
        """A node for some rows of its output."""
        node, axis, size = divided.node, divided.motion.axis, divided.motion.size
        value = node.outputs[0]
        inputs, padding, sig = list(node.inputs), (0, 0), self.graph.signature(node)
        for operand, reading in divided.readings.items():
            rows, padding = reading.rows(run)
            inputs[operand] = self._rows(node.inputs[operand], rows)
            if padding != (0, 0) and not pads_itself(node.op):
                fill = node.op.access(sig, operand).fill
                inputs[operand] = self._padded(inputs[operand], reading.motion.axis, padding, fill or 0)
        for operand, dimension in divided.along.items():
            inputs[operand] = self._sliced(node.inputs[operand], dimension, run, everything=range(size))
        op = part_of(node.op, sig, axis, len(run), padding)
        if op is None:
            raise ValueError(f"{node.name} isn't divided into rows")
        if len(run) < size and moves_nothing(op, self.types[inputs[0]], sig.output):
            self.pieces[value][run] = inputs[0]
        else:
            self.pieces[value][run] = self._replace(node, op, inputs, self._rows_value(value, run))

    def _whole(self, node: Node) -> None:
        inputs = [self._all(name) for name in node.inputs]
        self.nodes.append(replace(node, inputs=tuple(inputs)))

    def _all(self, name: str) -> str:
        """A value as a whole."""
        motion = self.moving.motions.get(name)
        return name if motion is None else self._rows(name, motion.everything)

    def _rows(self, name: str, rows: range) -> str:
        """Some rows of a value that moves."""
        if (name, rows) not in self.read:
            self.read[name, rows] = self._put_together(name, rows)
        return self.read[name, rows]

    def _put_together(self, name: str, rows: range) -> str:
        axis, parts, rest = self.moving.motions[name].axis, list[str](), rows
        for piece, value in sorted(self.pieces[name].items(), key=lambda each: each[0].start):
            common = _common(piece, rest)
            if common:
                local = range(common.start - piece.start, common.stop - piece.start)
                parts.append(self._sliced(value, axis, local, everything=range(len(piece))))
                rest = range(common.stop, rows.stop)
        if len(parts) == 1:
            return parts[0]
        return self._emit(f"{name}_window", Concatenation(axis), parts, self._rows_value(name, rows))

    def _rows_value(self, name: str, rows: range) -> str:
        """A value for some rows of one; for all of them its own name."""
        motion, source = self.moving.motions[name], self.graph.sources.get(name)
        if len(rows) == motion.size:
            return name
        found = self._value(f"{name}_rows_{rows.start}", self._type(name, len(rows)))
        if source is not None:
            self.sources[found] = replace(source, rows=(motion.axis, rows.start, motion.size))
        return found

    def _piece(self, name: str, rows: range) -> tuple[range, str]:
        """Where some rows of a value that moves are: (all rows that are there, as which value)."""
        for piece, value in self.pieces[name].items():
            if _common(piece, rows) == rows:
                return piece, value
        return rows, self._rows(name, rows)

    def _sliced(self, name: str, axis: int, rows: range, *, everything: range) -> str:
        if rows == everything:
            return name
        t = self.types[name]
        part = replace(t, shape=(*t.shape[:axis], len(rows), *t.shape[axis + 1 :]))
        output = self._value(f"{name}_part", part)
        return self._emit(f"{name}_part", Slice.of_axis(t.shape, axis, rows.start, len(rows)), [name], output)

    def _keep_if(self, name: str) -> None:
        """The state that is a value's line, if it has one, and what it becomes."""
        rows = self.step.rows[name]
        if not rows.kept:
            return
        motion, line = self.moving.motions[name], self.pieces[name][rows.kept]
        shift = motion.shift
        following = range(rows.kept.start + shift, rows.kept.stop + shift)
        if len(rows.kept) > shift:
            piece, value = self._piece(name, range(rows.kept.stop, rows.kept.stop + shift))
            output = self._value(f"{name}_next", self.types[line])
            op = DelayLine(motion.axis, rows.kept.stop - piece.start, shift)
            self._emit(f"{name}_line", op, [line, value], output)
        else:
            output = self._rows(name, following)
        initial = np.take(self.initial[name], range(following.start, following.stop), motion.axis)
        self.states.append(State(line, initial, output))

    def _sum(self, average: Average, rows: range) -> str:
        """Of some rows."""
        node, value = average.node, average.node.inputs[0]
        if (node.name, rows) not in self.sums:
            image = self._image(self._rows(value, rows), average)
            t = TensorType((1, 1, 1, average.source.shape[3]), INT32)
            output = self._value(f"{value}_sum_{rows.start}", t)
            self.sums[node.name, rows] = self._emit(f"{node.name}_sum", SpatialSum(), [image], output)
        return self.sums[node.name, rows]

    def _padded(self, name: str, axis: int, padding: tuple[int, int], fill: float) -> str:
        t = self.types[name]
        amounts = tuple(padding if i == axis else (0, 0) for i in range(len(t.shape)))
        shape = tuple(size + sum(pair) for size, pair in zip(t.shape, amounts, strict=True))
        return self._emit(
            f"{name}_pad", Pad(amounts, fill), [name], self._value(f"{name}_padded", replace(t, shape=shape))
        )

    def _narrow_sum(self, average: Average, rows: range) -> str:
        """The same, in what holds it for long."""
        wide, node, t = self._sum(average, rows), average.node, average.sum_of(len(rows))
        if t.dtype == INT32:
            return wide
        if (wide, rows) not in self.read:
            output = self._value(f"{wide}_narrow", t)
            self.read[wide, rows] = self._emit(f"{node.name}_narrow", Cast(t.dtype), [wide], output)
        return self.read[wide, rows]

    def _average(self, average: Average) -> None:
        """Sums of the first rows, the chunks and the last rows, and their average."""
        node, value = average.node, average.node.inputs[0]
        line = self._value(f"{value}_sums", average.sums)
        sums = TensorType((1, 1, 1, average.source.shape[3]), INT32)
        parts = [self._emit(f"{node.name}_kept", SpatialSum(), [line], self._value(f"{value}_sum_kept", sums))]
        if average.first:
            first = self._narrow_sum(average, average.first)
            if self.types[first].dtype != INT32:
                first = self._emit(f"{node.name}_first", SpatialSum(), [first], self._value(f"{value}_sum_first", sums))
            parts.append(first)
        parts.append(self._sum(average, average.last))
        total = parts[0]
        for each in parts[1:]:
            total = self._emit(f"{node.name}_total", Add(), [total, each], self._value(f"{value}_total", sums))
        result = MeanOfSum(average.average, average.source)
        ((shape, _),) = result.infer([sums])
        output = node.outputs[0]
        if shape == self.types[output].shape:
            self._replace(node, result, [total], output)
        else:
            mean = self._value(f"{output}_flat", replace(self.types[output], shape=shape))
            self._emit(f"{node.name}_mean", result, [total], mean)
            self._replace(node, Reshape(self.types[output].shape), [mean], output)
        if output in self.moving.motions:
            self.pieces[output][self.moving.motions[output].everything] = output
        following = entering = self._narrow_sum(average, average.entering)
        if average.chunks > 1:
            following = self._value(f"{value}_sums_next", average.sums)
            self._emit(f"{node.name}_line", DelayLine(1, 0, 1), [line, entering], following)
        self.states.append(State(line, self._initial_sums(average), following))

    def _image(self, name: str, average: Average) -> str:
        """Rows of a signal as those of an image with one column."""
        t = self.types[name]
        if len(t.shape) == 4:
            return name
        shape = (1, t.shape[1], 1, t.shape[2])
        return self._emit(
            f"{name}_image", Reshape(shape), [name], self._value(f"{name}_image", replace(t, shape=shape))
        )

    def _initial_sums(self, average: Average) -> Array:
        """Those of the window before the first step, a chunk further on."""
        motion = average.motion
        values = np.moveaxis(self.initial[average.node.inputs[0]], motion.axis, 0)
        rows = values.reshape(values.shape[0], -1, values.shape[-1]).astype(np.int64).sum(axis=1)
        begin = len(average.first) + motion.shift
        chunks = rows[begin : begin + average.chunks * motion.shift].reshape(average.chunks, motion.shift, -1)
        return chunks.sum(axis=1).reshape(average.sums.shape).astype(average.sums.dtype.carrier)


def _common(a: range, b: range) -> range:
    return range(max(a.start, b.start), max(min(a.stop, b.stop), max(a.start, b.start)))
