"""What an ONNX file may not do: reach outside of its folder, grow without bound, hide parts that nobody checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from tinycompile.errors import ModelFileError
from tinycompile.ir import Array

MAX_ELEMENTS = 1 << 28
"""Of a tensor: more is damage, or no microcontroller's."""

MAX_INDICES = 1 << 16
"""Of an integer tensor that is no constant."""

MAX_NODES = 1 << 16
"""Once functions are inlined."""

MAX_EXTERNAL_BYTES = 1 << 29

_EXTERNAL = 1  # TensorProto.EXTERNAL
_INTEGERS = (6, 7)  # TensorProto.INT32, INT64
_FIELD_STRING, _FIELD_MESSAGE = 9, 11  # FieldDescriptor.TYPE_STRING, TYPE_MESSAGE

_NOTES = ("doc_string", "metadata_props", "producer_name", "producer_version")
"""Fields that nothing depends on: any bytes will do."""


def messages(root: Any, name: str) -> Iterator[Any]:
    """Every message of this type in a protobuf, wherever it is."""
    if root.DESCRIPTOR.name == name:
        yield root
    for field, value in root.ListFields():
        if field.type == _FIELD_MESSAGE:
            for message in value if field.is_repeated else [value]:
                yield from messages(message, name)


def check_texts(root: Any, where: str) -> None:
    """Names and domains are UTF-8: protobuf hands out anything else as bytes, which compare with no string.

    Raises:
        ModelFileError: one isn't.
    """
    for field, value in root.ListFields():
        values = value if field.is_repeated else [value]
        if field.name in _NOTES:
            continue
        if field.type == _FIELD_MESSAGE:
            for message in values:
                check_texts(message, where)
        elif field.type == _FIELD_STRING:
            damaged = next((text for text in values if isinstance(text, bytes)), None)
            if damaged is not None:
                why = f"{field.name} of a {root.DESCRIPTOR.name} is {damaged[:40]!r}, which is no UTF-8"
                raise ModelFileError("not a readable ONNX model", where=where, why=why)


def check_external_data(model: Any, path: Path) -> None:
    """External data is in regular files of the model's folder, and not too much of it.

    Raises:
        ModelFileError: elsewhere, by name or through a symbolic link; a device; longer than the file.
    """
    folder, total = path.parent.resolve(), 0
    for tensor in messages(model, "TensorProto"):
        if tensor.data_location != _EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location, here = entries.get("location", ""), f"{path}: tensor {tensor.name!r}"
        try:
            file = (folder / location).resolve()
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
            inside = bool(location) and file.is_relative_to(folder) and file.is_file()
            size = file.stat().st_size if inside else 0
        except (OSError, ValueError, RuntimeError) as error:  # NUL bytes, loops of links, no numbers
            raise ModelFileError("the place of its data makes no sense", where=here, why=str(error)) from error
        if not inside:
            raise ModelFileError(
                f"its data is said to be in {location!r}", where=here, why="only files in the model's folder are read"
            )
        if offset < 0 or length < 0 or offset + length > size:
            raise ModelFileError(f"its data is said to be at {offset} + {length}", where=here, why=f"{size} bytes")
        total += length or size - offset
    if total > MAX_EXTERNAL_BYTES:
        raise ModelFileError(f"{total} bytes of external data", where=str(path), why=f"limit {MAX_EXTERNAL_BYTES}")


def check_all_loaded(model: Any, where: str) -> None:
    """No tensor refers to a file any more: later readers would look for it in the current folder."""
    for tensor in messages(model, "TensorProto"):
        if tensor.data_location == _EXTERNAL:
            raise ModelFileError(f"tensor {tensor.name!r} has external data in a place where none is read", where=where)


def check_functions(model: Any, where: str) -> None:
    """Inlining ends, and with a graph that isn't too large. Raises ModelFileError."""
    bodies = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes = dict[tuple[str, str, str], int]()

    def size_of(nodes: Any, path: tuple[tuple[str, str, str], ...]) -> int:
        total = 0
        for node in nodes:
            total += 1 + sum(size_of(graph.node, path) for graph in messages(node, "GraphProto"))
            key = (node.domain, node.op_type, node.overload)
            if key in bodies:
                if key in path:
                    raise ModelFileError(f"the function {node.op_type!r} calls itself", where=where)
                if key not in sizes:
                    sizes[key] = size_of(bodies[key].node, (*path, key))
                total += sizes[key]
            if total > MAX_NODES:
                raise ModelFileError(
                    "the model's functions expand to too many nodes", where=where, why=f"the limit is {MAX_NODES}"
                )
        return total

    size_of(model.graph.node, ())


def check_splits(model: Any, where: str) -> None:
    """onnx 1.23's shape inference writes beyond a vector, and ends the process, where these numbers differ.

    Raises:
        ModelFileError: a Split whose `num_outputs` isn't the number of its outputs.
    """
    for node in messages(model, "NodeProto"):
        for attribute in node.attribute:
            claimed = attribute.name == "num_outputs" and node.op_type == "Split"
            if claimed and attribute.i != len(node.output):
                raise ModelFileError(
                    f"the Split {node.name!r} has {len(node.output)} outputs", where=where, why=f"it says {attribute.i}"
                )


def check_declared(model: Any, where: str) -> None:
    """Declared shapes are of tensors that can exist: onnx's shape inference, which is C++, allocates by them.

    Raises:
        ModelFileError: more elements than any tensor, or than a list of indices, has.
    """
    for value in messages(model, "ValueInfoProto"):
        t = value.type.tensor_type
        limit = MAX_INDICES if t.elem_type in _INTEGERS else MAX_ELEMENTS
        sizes = [dim.dim_value for dim in t.shape.dim if dim.dim_value]
        if any(n < 0 for n in sizes) or prod(sizes) > limit:
            raise ModelFileError(f"{value.name!r} claims the shape {sizes}", where=where, why=f"the limit is {limit}")


def check_attributes(model: Any, where: str) -> None:
    """Attributes that refer to those of a function make sense inside functions only; none is left."""
    for attribute in messages(model.graph, "AttributeProto"):
        if attribute.ref_attr_name:
            raise ModelFileError(
                f"the attribute {attribute.name!r} refers to {attribute.ref_attr_name!r} of a function",
                where=where,
                why="it is not part of one",
            )


def check_sizes(shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    for name, shape in shapes.items():
        if any(n < 0 for n in shape) or prod(shape) > MAX_ELEMENTS:
            raise ModelFileError(
                f"{name!r} claims the shape {list(shape)}", where=where, why=f"at most {MAX_ELEMENTS} elements"
            )


def array_of(tensor: Any, where: str) -> Array:
    """The value of a TensorProto. Raises ModelFileError."""
    from onnx import numpy_helper

    here = f"{where}: constant {tensor.name!r}"
    check_sizes({tensor.name: tuple(tensor.dims)}, where)
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # KeyError, TypeError, ValueError, MemoryError: all of the same damage
        raise ModelFileError("its data does not match its type and shape", where=here, why=str(error)) from error
