#!/usr/bin/env bash
# LiteRT 2.3.0: a WHILE loop that exchanges two values loses one of them.
#
# Expected: a loop's body computes all next values from the present ones: `a, b = b, a` exchanges them, as Fibonacci's
# `a, b = b, a + b`, double buffers and delay lines of a step do.
# Seen: a body output that is one of the body's inputs is copied onto the next input, one after the other, without looking
# whether that one is still needed: from (1, 50) a turn makes (50, 50). An addition of 0 on the way makes it right. Reference and
# default kernels alike, no error. Converters leave such bodies where a value is only handed on.
#
# Output seen (from 1, 50; one turn):
#   handed on: 50 50
#   added to 0: 50 1
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

FLOAT, BOOL = schema.TensorType.FLOAT32, schema.TensorType.BOOL


def loop(added):
    """A file with a WHILE of (n, a, b): as long as n < 1 the next values are n + 1, b, a."""
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], []

    def graph():
        made = schema.SubGraphT()
        made.tensors, made.operators = [], []
        model.subgraphs.append(made)
        return made

    def tensor(where, kind=FLOAT, value=None):
        made = schema.TensorT()
        made.name, made.shape, made.type = b"t", np.array([1], np.int32), kind
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.float32(value).tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        where.tensors.append(made)
        return len(where.tensors) - 1

    def operator(where, code, inputs, outputs, kind=schema.BuiltinOptions.NONE, options=None):
        entry, made = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = 1
        model.operatorCodes.append(entry)
        made.opcodeIndex = len(model.operatorCodes) - 1
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        made.builtinOptionsType, made.builtinOptions = kind, options
        where.operators.append(made)

    def sum_of(where, a, b):
        result = tensor(where)
        operator(where, schema.BuiltinOperator.ADD, [a, b], [result], schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
        return result

    main = graph()
    inputs, outputs = ([tensor(main) for _ in range(3)] for _ in range(2))
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
    operator(main, schema.BuiltinOperator.WHILE, inputs, outputs, schema.BuiltinOptions.WhileOptions, options)
    main.inputs, main.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    condition = graph()
    values, limit, goes_on = [tensor(condition) for _ in range(3)], tensor(condition, FLOAT, 1.0), tensor(condition, BOOL)
    operator(condition, schema.BuiltinOperator.LESS, [values[0], limit], [goes_on])
    condition.inputs, condition.outputs = np.array(values, np.int32), np.array([goes_on], np.int32)
    body = graph()
    n, a, b = (tensor(body) for _ in range(3))
    one, zero = tensor(body, FLOAT, 1.0), tensor(body, FLOAT, 0.0)
    following = [sum_of(body, n, one), sum_of(body, b, zero), sum_of(body, a, zero)] if added else [sum_of(body, n, one), b, a]
    body.inputs, body.outputs = np.array([n, a, b], np.int32), np.array(following, np.int32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def found(added):
    results = set()
    for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF):
        interpreter = Interpreter(model_content=loop(added), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for detail, value in zip(interpreter.get_input_details(), (0, 1, 50)):
            interpreter.set_tensor(detail["index"], np.array([value], np.float32))
        interpreter.invoke()
        ends = [interpreter.get_tensor(detail["index"]).item() for detail in interpreter.get_output_details()]
        results.add(tuple(ends[1:]))
    assert len(results) == 1
    (seen,) = results
    print("added to 0:" if added else "handed on:", *(f"{value:.0f}" for value in seen))
    return seen


raise SystemExit(0 if (found(False), found(True)) == ((50, 50), (50, 1)) else 1)
PYTHON
