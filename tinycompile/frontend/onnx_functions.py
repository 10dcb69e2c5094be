"""Operators that are read as their definition in terms of simpler ones: by onnx's schemas, or `onnx_definitions.py`.

What has an importer of its own isn't here, although its schema may have a body as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinycompile.frontend import (
    onnx_attention_definitions,
    onnx_linear_definitions,
    onnx_norm_definitions,
    onnx_recurrent_definitions,
)
from tinycompile.frontend.onnx_definitions import DEFINITIONS, Definition, defined
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_rewrite import names_of
from tinycompile.frontend.onnx_shapes import inferred, shapes_of, type_names_of
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import free_name

DEFINITION_MODULES = (
    onnx_attention_definitions,
    onnx_linear_definitions,
    onnx_norm_definitions,
    onnx_recurrent_definitions,
)
"""Each registers its definitions when it is imported."""

PREVIEW = "ai.onnx.preview"
INLINED = frozenset(
    {
        *(
            ("", kind)
            for kind in (
                "AffineGrid CausalConvWithState CenterCropPad LinearAttention MeanVarianceNormalization "
                "NegativeLogLikelihoodLoss RotaryEmbedding SoftmaxCrossEntropyLoss SwiGLU Swish"
            ).split()
        ),
        (PREVIEW, "FlexAttention"),
    }
)
"""(domain, operator)."""
_DEEPEST = 4
"""Bodies within bodies; onnx has two."""


def with_bodies(model: Any) -> tuple[Any, dict[str, str]]:
    """The model with the definitions of such operators in their places, and why nodes have none, by their first result.

    Args:
        model: with static shapes of its inputs.
    """
    refused = dict[str, str]()
    for _ in range(_DEEPEST):
        if not any(has_definition(node) for node in model.graph.node):
            break
        changed = _once(model, refused)
        if changed is None:
            break
        model = changed
    return model, refused


def has_definition(node: Any) -> bool:
    return (_domain(node), node.op_type) in INLINED or _is_defined(node)


def _is_defined(node: Any) -> bool:
    return _domain(node) == "" and node.op_type in DEFINITIONS


def _once(model: Any, refused: dict[str, str]) -> Any:
    """The model with the nodes for each that has a definition; None if no node has."""
    clone, nodes, changed = copied(model), list[Any](), False
    graph, taken = clone.graph, names_of(model)
    shaped = inferred(model).graph
    types = {v.name: v.type for v in (*shaped.input, *shaped.value_info, *shaped.output)}
    types |= {i.name: _type_of(i) for i in graph.initializer if i.name not in types}
    known = {i.name for i in graph.initializer}
    known |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    for node in model.graph.node:
        made = None
        if _is_defined(node):
            if not known.issuperset(name for name in node.input if name):  # else it is computed when the model is read
                step = Definition(node, taken, shapes_of(shaped), type_names_of(shaped), model)
                try:
                    made = defined(step)
                    graph.initializer.extend(step.initializers)
                except Rejected as reason:
                    refused[node.output[0]] = str(reason)
        elif (_domain(node), node.op_type) in INLINED:
            body = _body(node, model, types)
            made = None if body is None else _instance(body, node, taken)
            if body is None:
                refused[node.output[0]] = "its definition depends on more than is known of its operands"
        nodes += [node] if made is None else made
        changed |= made is not None
    if not changed:
        return None
    del graph.node[:]
    graph.node.extend(nodes)
    _import_domains(clone, nodes)
    return clone


def _type_of(initializer: Any) -> Any:
    return onnx_module().helper.make_tensor_type_proto(initializer.data_type, list(initializer.dims))


def _import_domains(model: Any, nodes: Iterable[Any]) -> None:
    """Bodies of another domain's operators are in the default one, which a model of that domain needn't import."""
    names = {o.domain for o in model.opset_import}
    if names.isdisjoint(("", "ai.onnx")) and any(node.domain == "" for node in nodes):
        onnx = onnx_module()
        model.opset_import.append(onnx.helper.make_opsetid("", onnx.defs.onnx_opset_version()))
    used = {node.domain for node in nodes}
    kept = [o for o in model.opset_import if o.domain in ("", "ai.onnx") or o.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _body(node: Any, model: Any, types: Mapping[str, Any]) -> Any:
    """The FunctionProto for the operands that a node has; None where there is none."""
    onnx = onnx_module()
    domain = _domain(node)
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(domain, newest), domain)
        if schema.has_context_dependent_function:
            version = _version(schema.context_dependent_function_opset_versions, opsets.get("", newest))
            operands = [types[name].SerializeToString() if name else b"" for name in node.input]
            data = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), operands)
        else:
            data = schema.get_function_with_opset_version(
                _version(schema.function_opset_versions, opsets.get("", newest))
            )
    except (LookupError, ValueError, onnx.defs.SchemaError):
        return None
    return onnx.FunctionProto.FromString(data) if data else None


def _domain(node: Any) -> str:
    return "" if node.domain == "ai.onnx" else str(node.domain)


def _version(known: Iterable[int], opset: int) -> int:
    """Of a body: the newest one that isn't newer than the model. Raises ValueError."""
    versions = list(known)
    return max((v for v in versions if v <= opset), default=min(versions))


def _instance(body: Any, node: Any, taken: set[str]) -> list[Any]:
    """The body's nodes for the operands, results and attributes of one node."""
    names = dict(zip(body.input, [*node.input, *[""] * len(body.input)], strict=False))
    names |= {inner: outer for inner, outer in zip(body.output, node.output, strict=False) if outer}
    attributes = {a.name: a for a in (*_defaults(node), *body.attribute_proto, *node.attribute)}
    stem = next(name for name in node.output if name)

    def renamed(name: str) -> str:
        if name and name not in names:
            names[name] = free_name(f"{stem}/{name}", taken)
            taken.add(names[name])
        return names.get(name, "")

    return [with_names(inner, renamed, attributes) for inner in body.node]


def _defaults(node: Any) -> list[Any]:
    """The attributes that have a default in the operator's schema."""
    schema = onnx_module().defs.get_schema(node.op_type, _domain(node))
    return [a.default_value for a in schema.attributes.values() if a.default_value.name]


def with_names(node: Any, renamed: Callable[[str], str], attributes: Mapping[str, Any]) -> Any:
    """A node of a body, its subgraphs included, with values renamed and references to attributes resolved."""
    result = copied(node)
    for field in (result.input, result.output):
        field[:] = [renamed(name) for name in field]
    del result.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            found = attributes.get(attribute.ref_attr_name)
            if found is None:
                continue
            resolved = copied(found)
            resolved.name = attribute.name
        else:
            resolved = copied(attribute)
            if resolved.HasField("g"):
                _rename_graph(resolved.g, renamed, attributes)
        result.attribute.append(resolved)
    return result


def _rename_graph(graph: Any, renamed: Callable[[str], str], attributes: Mapping[str, Any]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = renamed(value.name)
    nodes = [with_names(node, renamed, attributes) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
