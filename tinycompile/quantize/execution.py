"""onnxruntime on all samples at once: whole models, and the steps between values that quantisation looks at."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinycompile.errors import ToolFailedError, ToolMissingError
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.ir import Array

_FORMAT = 10
"""Version of the format that every onnxruntime reads, with all types of elements that its operators take."""

Sample = Mapping[str, Array]
"""By input name, as the model takes it: with a batch of 1."""


def onnxruntime_module(why: str) -> Any:
    """The package. Raises ToolMissingError, with why it is needed."""
    try:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs] - what it has of types are few
    except ImportError as error:
        raise ToolMissingError(
            "onnxruntime is not installed", why=why, hint="pip install 'tinycompile[quantize]'"
        ) from error
    return onnxruntime


def session_of(proto: Any) -> Any:
    """An onnxruntime session that computes what the nodes say, in their order.

    Raises:
        ToolMissingError: without onnxruntime. ToolFailedError: it doesn't take the model.
    """
    onnxruntime = onnxruntime_module("calibration runs the float model with it")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    content = _of_oldest_format(proto).SerializeToString()
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common class
        raise ToolFailedError(
            "onnxruntime refuses the model",
            why=f"{onnxruntime.__version__}: {(str(error).strip() or type(error).__name__).splitlines()[0][:500]}",
            hint="export it with an older opset, or install a newer onnxruntime; --dtype float32 needs none",
        ) from error


@contextmanager
def refusals_of(where: str) -> Generator[None]:
    """What onnxruntime refuses inside is the model of this file."""
    try:
        yield
    except ToolFailedError as error:
        error.found_in(error.where or where)
        raise


def _of_oldest_format(proto: Any) -> Any:
    """The model in the oldest format that its operators need: onnxruntime refuses those that came after it, although
    later ones add nothing that these models have.
    """
    helper = onnx_module().helper
    needed = max(_FORMAT, helper.find_min_ir_version_for(proto.opset_import, ignore_unknown=True))
    if proto.ir_version <= needed:
        return proto
    older = copied(proto)
    older.ir_version = needed
    return older


def stacked(samples: Sequence[Sample]) -> dict[str, Array]:
    """All samples, one behind the other along the first axis."""
    return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}


def for_batches(
    nodes: Iterable[Any], constants: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[list[Any], dict[str, Array]]:
    """(nodes, constants of theirs under new names) that keep the batch that comes, where they reshape 1 to 1.

    Args:
        shapes: of values, for a batch of 1.
    """
    found, added = list[Any](), dict[str, Array]()
    for node in nodes:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and shape.size and int(shape[0]) == 1 == shapes.get(node.input[0], (0,))[0]:
            node = copied(node)
            name = f"{node.output[0]}_batch_shape"
            added[name] = np.concatenate([np.zeros(1, np.int64), shape[1:]])
            node.input[1] = name
            others = [each for each in node.attribute if each.name != "allowzero" or not np.all(shape)]
            del node.attribute[:]
            node.attribute.extend(others)
        found.append(node)
    return found, added


def run_all(session: Any, wanted: Sequence[str], feeds: Mapping[str, Array], count: int, batched: bool) -> list[Array]:
    """Results for `count` samples, one behind the other along the first axis.

    Args:
        feeds: the same of what is read, and constants under names that end in ":".
        batched: whether the session takes all of them at once.
    """
    if batched:
        return [np.asarray(value) for value in session.run(list(wanted), dict(feeds))]
    values = {name: value for name, value in feeds.items() if not name.endswith(":")}
    rows = [
        session.run(list(wanted), {**feeds, **{n: _part(value, i, count) for n, value in values.items()}})
        for i in range(count)
    ]
    return [np.concatenate([np.atleast_1d(value) for value in column]) for column in zip(*rows, strict=True)]


def _part(value: Array, index: int, count: int) -> Array:
    size = len(value) // count
    return value[index * size : (index + 1) * size]


def value_info(name: str, elem_type: int) -> Any:
    """A value of a type and of any shape."""
    info = onnx_module().ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = elem_type
    return info


def outputs_of(
    proto: Any, wanted: Sequence[str], samples: Sequence[Sample], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """Values of a model, of all samples one behind the other along the first axis; at once where the model takes that.

    Args:
        shapes: of its values as far as they are known, for a batch of 1.
    """
    if not wanted:  # which onnxruntime refuses
        return {}
    count, inputs = len(samples), stacked(samples)
    if all(len(value) == count for value in inputs.values()):
        try:
            together = session_of(_for_any_batch(proto, wanted, shapes))
            found = run_all(together, wanted, inputs, count, batched=True)
            if count == 1 or _alike(
                run_all(session_of(with_outputs(proto, wanted)), wanted, samples[-1], 1, True), found
            ):
                return dict(zip(wanted, found, strict=True))
        except Exception as error:  # onnxruntime's own have no common class
            if "onnxruntime" not in type(error).__module__:
                raise
    return dict(
        zip(wanted, run_all(session_of(with_outputs(proto, wanted)), wanted, inputs, count, False), strict=True)
    )


def outputs_together(
    proto: Any, wanted: Sequence[str], samples: Sequence[Sample], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """As `outputs_of`, of a model in which samples depend on each other: what has no axis for them is there once."""
    session = session_of(_for_any_batch(proto, wanted, shapes))
    return dict(zip(wanted, run_all(session, wanted, stacked(samples), len(samples), batched=True), strict=True))


def _alike(alone: Sequence[Array], together: Sequence[Array]) -> bool:
    """Whether the last sample gives what it gives on its own."""
    return all(
        a.size <= b.size
        and np.allclose(a.ravel(), b.ravel()[b.size - a.size :], rtol=0.05, atol=0.05 * np.abs(a).max(initial=0))
        for a, b in zip(alone, together, strict=True)
    )


def with_outputs(proto: Any, wanted: Sequence[str]) -> Any:
    """A model whose outputs are these values of it."""
    clone = type(proto)()
    clone.CopyFrom(proto)
    del clone.graph.output[:]
    clone.graph.output.extend(onnx_module().ValueInfoProto(name=name) for name in wanted)
    return clone


def _for_any_batch(proto: Any, wanted: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> Any:
    to_array, from_array = onnx_module().numpy_helper.to_array, onnx_module().numpy_helper.from_array
    clone = with_outputs(proto, wanted)
    graph = clone.graph
    small = {i.name: to_array(i) for i in graph.initializer if i.data_type == _INT64}
    nodes, added = for_batches(graph.node, small, shapes)
    nodes = [copied(node) for node in nodes]
    for field in (graph.node, graph.value_info):
        del field[:]
    graph.node.extend(nodes)
    graph.initializer.extend(from_array(value, name) for name, value in added.items())
    for value in graph.input:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return clone


_INT64 = 7
"""TensorProto.INT64"""
