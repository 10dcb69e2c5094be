"""Which subgraphs the operators of control flow have: IF two branches, WHILE a condition and a body."""

from __future__ import annotations

from typing import Any

from tinycompile.frontend.tflite_schema import tflite

IF, WHILE = "IF", "WHILE"
FIELDS = {
    IF: ("then_subgraph_index", "else_subgraph_index"),
    WHILE: ("cond_subgraph_index", "body_subgraph_index"),
}
"""Of their options, by operator."""


def bodies_of(name: str, options: Any) -> tuple[int, ...]:
    """The numbers of an operator's subgraphs, in the order of the schema; none of other operators.

    Args:
        options: its raw table, which may be missing: then all numbers are 0.
    """
    if name not in (IF, WHILE):
        return ()
    table: Any = tflite.IfOptions() if name == IF else tflite.WhileOptions()
    if options is None:
        return 0, 0
    table.Init(options.Bytes, options.Pos)
    if name == IF:
        return int(table.ThenSubgraphIndex()), int(table.ElseSubgraphIndex())
    return int(table.CondSubgraphIndex()), int(table.BodySubgraphIndex())
