"""Control flow: IF and WHILE, whose subgraphs become graphs inside of one operator.

A branch whose condition is known takes the operator's place, and so does the body of a short loop as often as it is
executed. What a loop only hands on from turn to turn is no value of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinycompile.frontend.regions import SMALL, difference, inlined, own_results
from tinycompile.frontend.tflite_bodies import FIELDS, IF, WHILE, bodies_of
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import Array, Graph
from tinycompile.ops.conditional import Conditional
from tinycompile.ops.while_loop import WhileLoop, turns_of


@importer(IF, options=tflite.IfOptions, versions=1)
def conditional(scope: Scope) -> None:
    """One of two subgraphs."""
    scope.options.without_effect("ThenSubgraphIndex", "ElseSubgraphIndex")
    operands = range(1, len(scope.operator.inputs))
    known, chosen = _known(scope, operands), scope.known(0)
    then, otherwise = (_body(scope, which, operands, known) for which in (0, 1))
    given = [scope.input(operand) for operand in operands if operand - 1 not in known]
    if chosen is not None:
        _inline(scope, then if chosen.any() else otherwise, given)
        return
    condition, op = scope.input(), Conditional(then, otherwise)
    scope.emit_into(op, [condition, *given], _results(scope, then, range(len(scope.operator.outputs))))


@importer(WHILE, options=tflite.WhileOptions, versions=1)
def while_loop(scope: Scope) -> None:
    """A subgraph as often as another one says."""
    scope.options.without_effect("CondSubgraphIndex", "BodySubgraphIndex")
    operands, (condition, body) = range(len(scope.operator.inputs)), _bodies(scope)
    file, going = scope.values.model.bodies[body], scope.values.model.bodies[condition]
    if len(file.outputs) != len(operands) or len(file.inputs) != len(operands):
        counts = f"{len(file.inputs)} inputs and {len(file.outputs)} outputs"
        raise scope.fail(f"body_subgraph_index is {body}: it has {counts} for {len(operands)} operands")
    if len(scope.operator.outputs) != len(operands):
        raise scope.fail(f"it has {len(operands)} operands and {len(scope.operator.outputs)} results")
    if len(going.outputs) != 1 or len(going.inputs) != len(operands):
        counts = f"{len(going.inputs)} inputs and {len(going.outputs)} outputs"
        raise scope.fail(f"cond_subgraph_index is {condition}: it has {counts}, it has to have one output")
    fixed = [i for i in operands if file.outputs[i] == file.inputs[i]]
    for i in operands:
        before = list(file.inputs[:i])
        if file.outputs[i] in before and before.index(file.outputs[i]) not in fixed:
            what = f"its output {i} is its input {before.index(file.outputs[i])}"
            raise Rejected(f"body_subgraph_index is {body}: {what}, which LiteRT overwrites before it is handed on")
    known = {i: value for i, value in _known(scope, operands).items() if i in fixed}
    carried = sorted((i for i in operands if i not in fixed), key=lambda i: -scope.input_type(i).bytes)
    order = [*carried, *(i for i in fixed if i not in known)]
    going = _arranged(_body(scope, 0, operands, known), operands, known, order, [0])
    turn = _arranged(_body(scope, 1, operands, known), operands, known, order, carried)
    given = [scope.input(i) for i in order]
    for i in fixed:
        scope.values.bind(scope.operator.outputs[i], scope.input(i))
    turns = turns_of(going, turn, [scope.known(i) for i in order])
    if turns is not None and turns * len(turn.nodes) <= SMALL:
        _write_out(scope, turn, turns, given, carried)
        return
    results = _results(scope, turn, carried)
    scope.emit_into(WhileLoop(going, turn, turns), given, results)


def _bodies(scope: Scope) -> tuple[int, int]:
    first, second = bodies_of(scope.operator.name, scope.operator.options)
    return first, second


def _known(scope: Scope, operands: Sequence[int]) -> dict[int, Array]:
    """By the place of a subgraph's input, those that don't depend on the model's inputs."""
    found = ((place, scope.known(operand)) for place, operand in enumerate(operands))
    return {place: value for place, value in found if value is not None}


def _body(scope: Scope, which: int, operands: Sequence[int], known: Mapping[int, Array]) -> Graph:
    """A subgraph, in which what is known is constant."""
    number = _bodies(scope)[which]
    here, listed = f"{FIELDS[scope.operator.name][which]} is {number}", scope.values.model.bodies[number].outputs
    if len(set(listed)) != len(listed):
        raise Rejected(f"{here}: it has one output twice, of which LiteRT writes only the second")
    takes = len(scope.values.model.bodies[number].inputs)
    if takes != len(operands):
        raise Rejected(f"{here}: it takes {takes} values and is given {len(operands)} operands")
    try:
        graph = scope.values.body(scope.operator, number, known)
    except Rejected as reason:
        raise Rejected(f"{here}: {reason}") from reason
    given = [scope.input_type(operand) for place, operand in enumerate(operands) if place not in known]
    reason = difference([graph.types[name] for name in graph.inputs], given)
    if reason is not None:
        raise Rejected(f"{here}: it takes {reason}")
    return graph


def _arranged(
    graph: Graph, operands: Sequence[int], known: Mapping[int, Array], order: Sequence[int], outputs: Sequence[int]
) -> Graph:
    """The graph with its inputs in an order of the operator's operands, and some of its outputs."""
    names = dict(zip((i for i in operands if i not in known), graph.inputs, strict=True))
    inputs, results = tuple(names[i] for i in order), tuple(graph.outputs[i] for i in outputs)
    return replace(graph, inputs=inputs, outputs=results).without_dead()


def _results(scope: Scope, graph: Graph, places: Sequence[int]) -> list[str]:
    """The operator's results at some places, which a graph's outputs are."""
    indices = [scope.operator.outputs[place] for place in places]
    _results_fit(scope, graph, indices)
    return [scope.values.of(index) for index in indices]


def _inline(scope: Scope, graph: Graph, given: Sequence[str]) -> None:
    """The graph in the operator's place."""
    indices = scope.operator.outputs
    _results_fit(scope, graph, indices)
    computed = own_results(graph)
    wanted = {n: scope.values.of(i) for n, i in zip(graph.outputs, indices, strict=True) if n in computed}
    for index, value in zip(indices, inlined(scope.values.builder, graph, given, wanted), strict=True):
        scope.values.bind(index, value)


def _results_fit(scope: Scope, graph: Graph, indices: Sequence[int]) -> None:
    reason = difference([graph.types[name] for name in graph.outputs], [scope.values.type(index) for index in indices])
    if reason is not None:
        raise Rejected(f"its subgraph results in {reason}")


def _write_out(scope: Scope, turn: Graph, turns: int, given: Sequence[str], carried: Sequence[int]) -> None:
    """The body so many times."""
    values, builder = list(given), scope.values.builder
    indices = [scope.operator.outputs[i] for i in carried]
    _results_fit(scope, turn, indices)
    computed = own_results(turn)
    for number in range(turns):
        last = number == turns - 1
        pairs = zip(turn.outputs, indices, strict=True)
        wanted = {name: scope.values.of(index) for name, index in pairs if last and name in computed}
        values = [*inlined(builder, turn, values, wanted), *values[len(carried) :]]
    for index, value in zip(indices, values, strict=False):
        scope.values.bind(index, value)
