#!/usr/bin/env bash
# ai-edge-litert 2.3.0: the reference kernel of LOCAL_RESPONSE_NORMALIZATION leaves out the last channel of its window.
#
# Expected: y[c] = x[c] / (bias + alpha * sum of x[k]^2) ^ beta with k from c - radius to c + radius, both included, as
# tf.nn.local_response_normalization has it, and the same from both sets of kernels that LiteRT offers.
# Seen: the default kernel does that, BUILTIN_REF stops one channel early. With radius 0 the sum is empty and the operator only
# copies. Whoever takes the reference kernels for the definition (that's what they are for) gets another network.
#
# Output seen (channels of 1, bias = alpha = beta = 1, so each value is 1 / (1 + channels counted)):
#   radius 1  BUILTIN      1/3 1/4 1/4 1/4 1/3
#   radius 1  BUILTIN_REF  1/2 1/3 1/3 1/3 1/3
#   radius 0  BUILTIN      1/2 1/2 1/2 1/2 1/2
#   radius 0  BUILTIN_REF  1/1 1/1 1/1 1/1 1/1
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

SHAPE = (1, 1, 1, 5)
NUMBER = schema.BuiltinOperator.LOCAL_RESPONSE_NORMALIZATION


def normalization(radius):
    """A file with this operator alone."""
    options = schema.LocalResponseNormalizationOptionsT()
    options.radius, options.bias, options.alpha, options.beta = radius, 1.0, 1.0, 1.0
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = NUMBER
    code.version = 1
    operator.inputs, operator.outputs = np.array([0], np.int32), np.array([1], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.LocalResponseNormalizationOptions
    operator.builtinOptions = options
    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, name in zip(tensors, (b"x", b"y")):
        tensor.name, tensor.shape, tensor.type = name, np.array(SHAPE, np.int32), schema.TensorType.FLOAT32
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs, operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def counted(radius, resolver):
    """How many channels each output's sum has, from the values that LiteRT computes for ones."""
    interpreter = Interpreter(model_content=normalization(radius), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones(SHAPE, np.float32))
    interpreter.invoke()
    denominators = 1 / interpreter.get_tensor(1).ravel()
    print(f"radius {radius}  {resolver.name:12}", *(f"1/{d:.3g}" for d in denominators))
    return np.round(denominators - 1, 3).tolist()


seen = [counted(radius, r) for radius in (1, 0) for r in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF)]
raise SystemExit(0 if seen == [[2, 3, 3, 3, 2], [1, 2, 2, 2, 2], [1] * 5, [0] * 5] else 1)
PYTHON
