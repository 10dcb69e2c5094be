#!/bin/bash
# A zero point of int8 weights means three different things in LiteRT, by operator and by how many scales there are.
#
# Expected: int8 weights with scale s and zero point z stand for s * (q - z) everywhere, or are refused everywhere; the
#   format's own text says that such weights are symmetric, so a refusal would be fine.
# Seen (ai-edge-litert 2.3.0, reference and default kernels alike): with z = 7
#   FULLY_CONNECTED, one scale:             z is subtracted
#   FULLY_CONNECTED, a scale per output:    z is ignored, without a word
#   DEPTHWISE_CONV_2D, either:              z is ignored, without a word
#   CONV_2D, either:                        refused when tensors are allocated
# So the same layer gives other numbers when a converter changes from per-tensor to per-channel, or writes a dense layer as
# a 1x1 depthwise convolution. Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.3.5
"$work/venv/bin/python" - <<'PYTHON'
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

ZERO = 7


def tensor(shape, scale, zero, kind, buffer, axis=0):
    t, q = schema.TensorT(), schema.QuantizationParametersT()
    t.shape, t.type, t.buffer, t.name = np.array(shape, np.int32), kind, buffer, f"t{buffer}_{len(shape)}".encode()
    q.scale, q.zeroPoint, q.quantizedDimension = np.float32(scale), np.full(len(scale), zero, np.int64), axis
    t.quantization = q
    return t


def model(kind, weights, scales, axis, shapes, zero):
    """One operator with constant int8 weights whose zero point is `zero`; input and output have scale 1."""
    m, g, op, code, data = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT(), schema.BufferT()
    data.data = weights.ravel().view(np.uint8)
    bias = schema.BufferT()
    bias.data = np.zeros(4, np.int32).view(np.uint8)
    m.version, m.buffers = 3, [schema.BufferT(), data, bias]
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    code.version, m.operatorCodes = 1, [code]
    int8 = schema.TensorType.INT8
    g.tensors = [tensor(shapes[0], [1], 0, int8, 0), tensor(weights.shape, scales, zero, int8, 1, axis), tensor(shapes[1], [1], 0, int8, 0)]
    g.tensors.append(tensor((4,), scales, 0, schema.TensorType.INT32, 2))
    g.tensors[2].name = b"y"
    op.inputs, op.outputs = np.array([0, 1, 3], np.int32), np.array([2], np.int32)
    name = {"FULLY_CONNECTED": "FullyConnectedOptions", "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}[kind]
    op.builtinOptions, op.builtinOptionsType = getattr(schema, name + "T")(), getattr(schema.BuiltinOptions, name)
    if kind != "FULLY_CONNECTED":
        o = op.builtinOptions
        o.strideH = o.strideW = o.dilationHFactor = o.dilationWFactor = 1
        o.padding, o.depthMultiplier = schema.Padding.VALID, 1
    g.operators, g.inputs, g.outputs, m.subgraphs = [op], np.array([0], np.int32), np.array([2], np.int32), [g]
    builder = flatbuffers.Builder(1024)
    builder.Finish(m.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def meaning(kind, per_output, resolver, zero):
    """The operator on inputs of 1 and weights of 10: 10 - zero where the zero point counts."""
    scales = [1.0] * 4 if per_output else [1.0]
    weights = np.full({"FULLY_CONNECTED": (4, 1), "CONV_2D": (4, 1, 1, 1), "DEPTHWISE_CONV_2D": (1, 1, 1, 4)}[kind], 10, np.int8)
    shapes = {"FULLY_CONNECTED": ((1, 1), (1, 4)), "CONV_2D": ((1, 1, 1, 1), (1, 1, 1, 4)), "DEPTHWISE_CONV_2D": ((1, 1, 1, 4),) * 2}[kind]
    content = model(kind, weights, scales, 3 if kind == "DEPTHWISE_CONV_2D" else 0, shapes, zero)
    try:
        interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return "refused"
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones(shapes[0], np.int8))
    interpreter.invoke()
    result = set(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().tolist())
    return {frozenset({10 - zero}): "subtracted", frozenset({10}): "ignored"}.get(frozenset(result), str(result))


seen = {}
for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
    for kind in ("FULLY_CONNECTED", "DEPTHWISE_CONV_2D", "CONV_2D"):
        for per_output in (False, True):
            if meaning(kind, per_output, resolver, 0) == "refused":
                sys.exit(f"{kind} doesn't run without a zero point either")
            found = meaning(kind, per_output, resolver, ZERO)
            print(f"{resolver.name:40} {kind:18} {'a scale per output' if per_output else 'one scale':20} {found}")
            seen.setdefault((kind, per_output), set()).add(found)
expected = {
    ("FULLY_CONNECTED", False): {"subtracted"},
    ("FULLY_CONNECTED", True): {"ignored"},
    ("DEPTHWISE_CONV_2D", False): {"ignored"},
    ("DEPTHWISE_CONV_2D", True): {"ignored"},
    ("CONV_2D", False): {"refused"},
    ("CONV_2D", True): {"refused"},
}
sys.exit(0 if seen == expected else 1)
PYTHON
