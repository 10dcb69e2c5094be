"""The model graph, before the compiler and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tinycompile.codegen.names import short_name
from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.pictures import beginning, draw, shape_text, shortened
from tinycompile.report.pictures.layers import Sizes, layered
from tinycompile.report.summary import layer_counts, rows

SIZES = Sizes()
MARGIN = 8
NAME_LENGTH = 36
TITLE_LENGTH = 32
"""Characters of a box's first line: the kind, and at its right end the shape."""


@dataclass(frozen=True)
class Look:
    """How a node differs from others: its CSS class, its part of the most instructions, what hovering adds."""

    kind: str
    heat: float
    more: str


@dataclass(frozen=True)
class Box:
    """A node with the place of its upper left corner."""

    x: float
    y: float
    kind: str
    heat: float
    op: str
    input: bool
    shape: str
    name: str
    title: str
    link: str


def source_picture(report: dict[str, Any]) -> Markup:
    """The file's operators; dashed where the compiled graph has no tensor of theirs."""
    return _picture(report["graphs"]["source"], [_source_look(node) for node in report["graphs"]["source"]["nodes"]])


def compiled_picture(report: dict[str, Any], link: Callable[[int], str] | None = None) -> Markup:
    """What is executed, the darker the more instructions, by the layers' labels.

    Args:
        link: from a layer's number to the name of the place on the page that says more of it.
    """
    layers, graph = report["layers"], report["graphs"]["compiled"]
    counts = _instructions(report)
    most = max(counts, default=1) or 1
    looks = [_compiled_look(node, layers, counts, most) for node in graph["nodes"]]
    labels = layer_labels(layers)
    numbers: list[int | None] = [node["layer"] for node in graph["nodes"]]
    names = [None if number is None else labels[number] for number in numbers]
    links = ["" if number is None or link is None else f"#{link(number)}" for number in numbers]
    return _picture(graph, looks, names, links)


def _instructions(report: dict[str, Any]) -> list[int]:
    """Of each layer: estimates, where some were counted together."""
    if all(row.last - row.first == 1 for row in rows(report)):
        return layer_counts(report)[0]
    return [layer["instructions_estimate"] for layer in report["layers"]]


def _source_look(node: dict[str, Any]) -> Look:
    fate = "" if node["kept"] else ", fused into a neighbour or gone"
    return Look("" if node["kept"] else "gone", 0, fate)


def _compiled_look(node: dict[str, Any], layers: list[dict[str, Any]], counts: list[int], most: int) -> Look:
    if node["layer"] is None:
        return Look("", 0, "")
    place: int = node["layer"]
    layer, count = layers[place], counts[place]
    stage = "" if layer["stage"] is None else f", in stage {layer['stage']}"
    more = f", {layer['kernel']}, {layer['macs']:,} MACs, {count:,} instructions{stage}"
    return Look("" if layer["stage"] is None else "staged", round(count / most, 3), more)


def _picture(
    graph: dict[str, Any], looks: list[Look], names: Sequence[str | None] = (), links: Sequence[str] = ()
) -> Markup:
    if not names:
        names, links = [None] * len(looks), [""] * len(looks)
    drawing = layered(len(graph["nodes"]), [(a, b) for a, b in graph["edges"]], SIZES)
    nodes = [
        Box(
            x=round(x - SIZES.width / 2 + MARGIN, 1),
            y=round(y - SIZES.height / 2 + MARGIN, 1),
            kind=look.kind,
            heat=look.heat,
            op=beginning(node["op"], TITLE_LENGTH - len(shape_text(node["shape"]))),
            input=node["op"] == "input",
            shape=shape_text(node["shape"]),
            name=shortened(name or short_name(node["name"]), NAME_LENGTH),
            link=link,
            title=f"{node['op']} {node['name']}: {shape_text(node['shape'])}{look.more}",
        )
        for node, look, name, link, (x, y) in zip(graph["nodes"], looks, names, links, drawing.centres, strict=True)
    ]
    return draw(
        "network.svg.j2",
        nodes=nodes,
        paths=[_curve(path) for path in drawing.paths],
        node=SIZES,
        begins=max(0, min((box.y, box.x) for box in nodes)[1] - SIZES.width / 2) if nodes else 0,
        width=round(drawing.width + 2 * MARGIN),
        height=round(drawing.height + 2 * MARGIN),
    )


def _curve(points: list[tuple[float, float]]) -> str:
    """Vertical at every point."""
    x, y = points[0][0] + MARGIN, points[0][1] + MARGIN
    parts = [f"M{x:.0f} {y:.0f}"]
    for next_x, next_y in ((a + MARGIN, b + MARGIN) for a, b in points[1:]):
        middle = (y + next_y) / 2
        bend = (
            f"L{next_x:.0f} {next_y:.0f}"
            if abs(x - next_x) < 1
            else (f"C{x:.0f} {middle:.0f} {next_x:.0f} {middle:.0f} {next_x:.0f} {next_y:.0f}")
        )
        parts.append(bend)
        x, y = next_x, next_y
    return "".join(parts)
