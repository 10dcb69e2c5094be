"""The arena over time, and below it what each layer needs: steps to the right, addresses upwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tinycompile.codegen.names import short_name
from tinycompile.report.layer_labels import layer_labels
from tinycompile.report.pictures import draw, shape_text, shortened

STEP_WIDTH = 16
"""At least so many units per step; long networks scroll."""

LEFT, BOTTOM, TOP = 84, 22, 16
CHARACTER = 6.2
"""Width of a character of the labels."""


@dataclass(frozen=True)
class Frame:
    """Units of a picture: x by step, y by bytes from the bottom."""

    steps: int
    bytes: int
    height: int

    @property
    def width(self) -> int:
        return max(960, LEFT + self.steps * STEP_WIDTH)

    @property
    def across(self) -> float:
        return (self.width - LEFT - 1) / max(1, self.steps)

    @property
    def up(self) -> float:
        return (self.height - BOTTOM - TOP) / max(1, self.bytes)

    def x(self, step: float) -> float:
        return round(LEFT + step * self.across, 1)

    def y(self, address: float) -> float:
        return round(self.height - BOTTOM - address * self.up, 1)

    @property
    def ticks(self) -> list[int]:
        """Round addresses for the axis, about 50 units apart."""
        unit = 1
        while self.bytes > unit * self.height // 50:
            unit *= 2
        return list(range(0, self.bytes + 1, unit))

    @property
    def labelled_steps(self) -> list[int]:
        return list(range(0, self.steps, max(1, -(-self.steps * 22 // (self.width - LEFT)))))


@dataclass(frozen=True)
class Box:
    """A rectangle: of a buffer, behind a stage's steps, or a layer's column. `title` is told by hovering."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Band(Box):
    """Behind the steps of a stage."""

    label: str


@dataclass(frozen=True)
class Block(Box):
    """A buffer; `index` is its place in `arena.buffers`."""

    label: str
    hue: int
    index: int
    kind: str
    bytes: int


@dataclass(frozen=True)
class Column(Box):
    """Bytes in use while the layer `index` runs; `phase` of a training step that it is in, "forward" for all else."""

    index: int
    bytes: int
    peak: bool
    phase: str


@dataclass(frozen=True)
class Peak:
    """The text beside the highest column."""

    x: float
    y: float
    text: str
    anchor: str


def arena_picture(report: dict[str, Any], style: str = "") -> Markup:
    """A block per buffer, a band per stage, of a training step where its backward pass begins; hovering tells name,
    shape, bytes, addresses and lifetime.

    Args:
        style: CSS for a picture that is a file of its own.
    """
    arena = report["arena"]
    frame = Frame(arena["steps"], report["ram"]["arena_bytes"], 360)
    blocks = [_block(frame, index, buffer) for index, buffer in enumerate(arena["buffers"])]
    stages = _stages(frame, report)
    return draw(
        "arena.svg.j2",
        frame=frame,
        blocks=blocks,
        stages=stages,
        turn=_turn(frame, report),
        style=style,
        arena_bytes=frame.bytes,
    )


def _turn(frame: Frame, report: dict[str, Any]) -> Box | None:
    """A line between the forward and the backward pass of a training step; None for a model that doesn't learn."""
    training = report.get("training")
    if training is None:
        return None
    step = training["begin"] + 1
    title = f"a prediction ends before step {step}, the backward pass begins"
    return Box(x=frame.x(step), y=TOP, width=0, height=frame.height - BOTTOM - TOP, title=title)


def _stages(frame: Frame, report: dict[str, Any]) -> list[Band]:
    """A band behind the steps of each stage, whose layers are executed together."""
    bands = list[Band]()
    for number, stage in enumerate(report.get("stages", ())):
        steps = [step for step, layer in enumerate(report["layers"]) if layer.get("stage") == number]
        width = round(len(steps) * frame.across, 1)
        label = f"stage {number}, {stage.get('how', stage['mode'])}"
        bands.append(
            Band(
                x=frame.x(steps[0]),
                y=TOP,
                width=width,
                height=frame.height - BOTTOM - TOP,
                label=shortened(label, int(width / CHARACTER)) if width > 9 * CHARACTER else "",
                title=f"{label}: {stage['mode']}, steps {steps[0]} to {steps[-1]}",
            )
        )
    return bands


def _block(frame: Frame, index: int, buffer: dict[str, Any]) -> Block:
    x, y = frame.x(buffer["first"]), frame.y(buffer["offset"] + buffer["bytes"])
    width = round((buffer["last"] - buffer["first"]) * frame.across, 1)
    height = round(buffer["bytes"] * frame.up, 1)
    name = short_name(buffer["name"]) if buffer["kind"] == "tensor" else buffer["kind"]
    room = int(width / CHARACTER)
    return Block(
        x=x,
        y=y,
        width=width,
        height=max(0.5, height),
        hue=index * 137 % 360,
        index=index,
        kind=buffer["kind"],
        bytes=buffer["bytes"],
        label=shortened(name, room) if room >= min(9, len(name)) and height >= 14 else "",
        title=_title(buffer),
    )


def _title(buffer: dict[str, Any]) -> str:
    last = buffer["last"] - 1
    when = f"step {last}" if last == buffer["first"] else f"steps {buffer['first']} to {last}"
    what = f"{buffer['dtype']} {shape_text(buffer['shape'])}, " if buffer["shape"] is not None else ""
    end = buffer["offset"] + buffer["bytes"] - 1
    return f"{buffer['name']}: {what}{buffer['bytes']:,} bytes at {buffer['offset']:,} to {end:,}, {when}"


def ram_picture(report: dict[str, Any]) -> Markup:
    """A column per layer: bytes of the arena in use while it runs; the peak is marked."""
    layers = report["layers"]
    frame = Frame(report["arena"]["steps"], report["ram"]["arena_bytes"], 200)
    live = [layer["live_bytes"] for layer in layers]
    peak = max(live, default=0)
    columns = [
        Column(
            x=frame.x(index),
            y=frame.y(layer["live_bytes"]),
            width=round(max(0.5, frame.across - 1), 1),
            height=round(layer["live_bytes"] * frame.up, 1),
            bytes=layer["live_bytes"],
            index=index,
            peak=layer["live_bytes"] == peak,
            phase=layer.get("phase", "forward"),
            title=f"step {index}, {layer['name']} ({layer['op']}): {layer['live_bytes']:,} bytes in use",
        )
        for index, layer in enumerate(layers)
    ]
    at = live.index(peak) if live else 0
    label = f"peak {peak:,} bytes: step {at}, {layer_labels(layers)[at]}" if layers else ""
    right = frame.x(at + 0.5) > frame.width / 2
    return draw(
        "ram.svg.j2",
        frame=frame,
        turn=_turn(frame, report),
        columns=columns,
        peak=Peak(frame.x(at + 0.5), frame.y(peak), label, "end" if right else "start"),
    )
