"""`--camera`: the model's image comes as a camera gives it; the first layers cut it, make it smaller and convert it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.choices import PIXEL_RANGES, RESIZE_CHOICES
from tinycompile.dtypes import INT8, UINT8
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node, Quantization, TensorType
from tinycompile.numerics.pixel_ranges import RANGES
from tinycompile.ops.pixels import FORMATS, VALUES, Pixels
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.transpose import TO_CHANNELS_LAST, Transpose

LARGEST = 1 << 12
"""Pixels of a side: what a stage needs of such a frame has fewer than 2^28 bytes, as all tensors."""


@dataclass(frozen=True)
class Camera:
    """What comes from a camera, and what of it the model sees.

    Attributes:
        format: a key of `FORMATS`. width, height: of the frame, in pixels of the sensor.
        crop: (x, y, width, height) of the part that the model sees, in the same pixels.
        resize: how it gets the model's size: "area" averages blocks, "nearest", "bilinear", or "auto": area where a
            whole number of rows and columns becomes one, else bilinear.
        range: what the values 0 to 255 are to the model: a choice of PIXEL_RANGES.
    """

    format: str
    width: int
    height: int
    crop: tuple[int, int, int, int]
    resize: str
    range: str

    @staticmethod
    def of(camera: str, crop: str | None, resize: str, pixel_range: str) -> Camera:
        """From "rgb565,160x120" and "x,y,width,height". Raises UsageError."""
        name, _, size = camera.partition(",")
        found = _numbers(size.replace("x", ","), 2)
        if name not in FORMATS:
            raise UsageError(f"--camera {camera}: there is no format {name!r}", hint=f"one of: {', '.join(FORMATS)}")
        if found is None or max(found) > LARGEST:
            hint = f"--camera {name},160x120; sides of at most {LARGEST:,}"
            raise UsageError(f"--camera {camera} says no size of frames", hint=hint)
        width, height = found
        part = (0, 0, width, height) if crop is None else _numbers(crop, 4, least=0)
        if part is None or min(part[2:]) < 1 or part[0] + part[2] > width or part[1] + part[3] > height:
            raise UsageError(
                f"--crop {crop} is no part of frames of {width}x{height}", hint="--crop x,y,width,height: 20,0,120,120"
            )
        if resize not in RESIZE_CHOICES:
            raise UsageError(f"--resize {resize!r} is unknown", hint=f"one of: {', '.join(RESIZE_CHOICES)}")
        if pixel_range not in PIXEL_RANGES:
            raise UsageError(f"--pixel-range {pixel_range!r} is unknown", hint=f"one of: {', '.join(PIXEL_RANGES)}")
        x, y, wide, high = part
        return Camera(name, width, height, (x, y, wide, high), resize, pixel_range)

    @property
    def _block(self) -> int:
        return FORMATS[self.format].block

    def reals(self, channels: int) -> Array:
        """float64 (channels, 256): what the model takes for each value."""
        values = np.tile(np.arange(VALUES, dtype=np.float64)[:, None], (1, channels))
        return RANGES[self.range](values).T

    def step(self, height: int, width: int) -> int | None:
        """Rows and columns of pixels that become one of the model's, where that is a whole number; None where not."""
        _, _, wide, high = self.crop
        step = wide // (width * self._block)
        same = (wide, high) == (step * width * self._block, step * height * self._block)
        return step if same and step >= 1 and self.resize in ("auto", "area", "nearest") else None

    def check(self, height: int, width: int, channels: int) -> None:
        """Raises UsageError where formats or the way to make images smaller don't fit the part that is taken."""
        if self.range == "imagenet" and channels != 3:
            raise UsageError("--pixel-range imagenet is of three colours", why=f"the model has {channels} channel")
        x, y, wide, high = self.crop
        layout = FORMATS[self.format]
        whole = layout.block * layout.pair
        if x % whole or self.width % whole or any(size % layout.block for size in (y, wide, high)):
            cut = f"frames of {self.width} columns cut" if self.width % whole else "--crop cuts"
            raise UsageError(
                f"{cut} through pixels of {self.format}",
                why=f"{whole} columns{f' and {layout.block} rows' if layout.block > 1 else ''} belong together",
                hint=f"begin at a multiple of {whole}, with a size that is one",
            )
        if self.resize == "area" and self.step(height, width) is None:
            step = max(1, min(wide // (width * layout.block), high // (height * layout.block))) * layout.block
            raise UsageError(
                f"--resize area makes no {width}x{height} of {wide}x{high}",
                why="it averages blocks, which needs a whole number of rows and columns for each pixel",
                hint=f"--crop with a size of {step * width}x{step * height}, or --resize bilinear",
            )


def _numbers(text: str, count: int, least: int = 1) -> tuple[int, ...] | None:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        return None
    return found if len(found) == count and min(found) >= least else None


def with_camera(graph: Graph, camera: Camera) -> Graph:
    """The graph with rows of the camera's frame as its input: those of the crop, whole, (1, rows, width, bytes) uint8.

    Raises:
        UsageError: the model has several inputs, or none that is an image of int8 with one or three channels; what
            `Camera.check` says.
    """
    name, t = image_of(graph)
    front = front_end(camera, name, t)
    gone = set(graph.inputs) - {name}
    kept = tuple(node for node in graph.nodes if node.outputs != (name,))
    return replace(
        graph,
        inputs=front.inputs,
        nodes=(*front.nodes, *kept),
        types={**{n: t for n, t in graph.types.items() if n not in gone}, **front.types},
        sources={n: source for n, source in graph.sources.items() if n not in gone},
    )


def front_end(camera: Camera, name: str, t: TensorType) -> Graph:
    """From a frame's rows to the image that a model takes, (1, height, width, channels) of int8, called `name`.

    Raises:
        UsageError: what `Camera.check` says.
    """
    _, height, width, channels = t.shape
    camera.check(height, width, channels)
    layout, (x, _, wide, high) = FORMATS[camera.format], camera.crop
    quant = t.quant
    scale, zero_point = (1.0, 0) if quant is None else (float(t.scale), t.zero_point)
    numbers = np.round(camera.reals(channels) / scale) + zero_point
    tables = np.clip(numbers, -128, 127).astype(np.int8).tobytes()
    step = camera.step(height, width)
    average = camera.resize != "nearest"
    op = Pixels(camera.format, x // layout.block, wide // layout.block, step or 1, average, tables)
    frame, nodes = f"{name}/frame", list[Node]()
    types = {name: t, frame: TensorType((1, high, camera.width, layout.bytes), UINT8)}
    if step is not None:
        nodes.append(Node(f"{name}/pixels", op, (frame,), (name,)))
    else:
        size, pixels = (height, width), f"{name}/pixels"
        resized = ResizeNearestNeighbor if camera.resize == "nearest" else ResizeBilinear
        types[pixels] = TensorType((1, high // layout.block, wide // layout.block, channels), INT8, t.quant)
        nodes.append(Node(pixels, op, (frame,), (pixels,)))
        nodes.append(Node(f"{name}/resized", resized(size, half_pixel_centers=True), (pixels,), (name,)))
    return Graph("camera", (frame,), (name,), tuple(nodes), types, {})


def image_of(graph: Graph) -> tuple[str, TensorType]:
    """The value with channels last that the model computes with: a TRANSPOSE of the input goes, as with rows."""
    if len(graph.inputs) != 1:
        raise UsageError("--camera needs a model with one input", where=graph.name, why=f"it has {len(graph.inputs)}")
    (name,) = graph.inputs
    readers = graph.consumers().get(name, [])
    op = readers[0].op if len(readers) == 1 else None
    if isinstance(op, Transpose) and op.permutation == TO_CHANNELS_LAST:
        (name,) = readers[0].outputs
    t = graph.types[name]
    if len(t.shape) != 4 or t.shape[0] != 1 or t.shape[3] not in (1, 3):
        raise UsageError(
            "--camera needs an image with one or three channels", where=graph.name, why=f"the input is {t}"
        )
    if t.dtype != INT8 or not (t.quant is None or _has_one_scale(t.quant)):
        raise UsageError(
            "--camera needs an input of int8", where=graph.name, why=f"it is {t}", hint="--io int8, and --calib"
        )
    if name in graph.outputs:
        raise UsageError("--camera needs an input that isn't an output as well", where=graph.name)
    return name, t


def _has_one_scale(quant: Quantization) -> bool:
    return quant.scale.size == 1
