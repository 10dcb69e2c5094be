#!/usr/bin/env bash
# LiteRT 2.3.0: a float LSTM whose activation is NONE never reads its cell state: it has no memory but its last output.
#
# Expected: c = f c + i act(g), h = o act(c); with activation NONE, h = o c, as for RELU with positive cells.
# Seen: h = o g. Where the activation should be copied nothing is, and the buffer still holds the cell's *input* of this step. TANH,
# RELU, RELU6 and RELU_N1_TO_1 are right. Both resolvers, no error. A linear LSTM is unusual but what a recurrent filter is.
#
# Output seen (first unit over three steps):
#   TANH: -0.283 -0.002 -0.154, by the definition -0.283 -0.002 -0.154
#   NONE: -2.706 -0.095 -0.146, by the definition -0.796 -0.016 -0.615, output gate times cell input -2.706 -0.095 -0.146
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

STEPS, UNITS = 3, 2
random = np.random.default_rng(0)
kernels, recurrent = (random.standard_normal((4, UNITS, UNITS)).astype(np.float32) for _ in range(2))
biases = random.standard_normal((4, UNITS)).astype(np.float32)
x = 2 * random.standard_normal((STEPS, 1, UNITS)).astype(np.float32)


def file(activation):
    """One UNIDIRECTIONAL_SEQUENCE_LSTM, time first, both states variables; gates in the order input, forget, cell, output."""
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, model.buffers = [], [schema.BufferT()]

    def tensor(shape, values=None, variable=False):
        made = schema.TensorT()
        made.name, made.shape, made.type, made.isVariable = b"t", np.array(shape, np.int32), schema.TensorType.FLOAT32, variable
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    inputs = [tensor(x.shape)] + [tensor(values.shape, values) for values in (*kernels, *recurrent)] + [-1] * 3
    inputs += [tensor(values.shape, values) for values in biases] + [-1] * 2
    inputs += [tensor((1, UNITS), variable=True) for _ in range(2)] + [-1] * 4
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    code.version = 1
    operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([tensor(x.shape)], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    operator.builtinOptions = schema.UnidirectionalSequenceLSTMOptionsT()
    operator.builtinOptions.fusedActivationFunction, operator.builtinOptions.timeMajor = activation, True
    graph.operators, graph.inputs, graph.outputs = [operator], operator.inputs[:1], operator.outputs
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def defined(activation, forgetful=False):
    """The definition's outputs; with `forgetful`, the output gate times the cell's input instead."""
    h = c = np.zeros(UNITS)
    for step in x[:, 0]:
        i, f, g, o = kernels @ step + recurrent @ h + biases
        i, f, o, g = *(1 / (1 + np.exp(-gate)) for gate in (i, f, o)), activation(g)
        c = f * c + i * g
        h = o * (g if forgetful else activation(c))
        yield h


def text(outputs):
    return " ".join(f"{h[0]:.3f}" for h in outputs)


same = True
for name, code, activation in (("TANH", 4, np.tanh), ("NONE", 0, lambda v: v)):
    found = set()
    for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF):
        interpreter = Interpreter(model_content=file(code), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        found.add(text(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[:, 0]))
    right, forgetful = text(defined(activation)), text(defined(activation, forgetful=True))
    seen = found.pop()
    same &= not found and seen == (right if name == "TANH" else forgetful) and forgetful != right
    print(f"{name}: {seen}, by the definition {right}" + (f", output gate times cell input {forgetful}" if name == "NONE" else ""))
raise SystemExit(0 if same else 1)
PYTHON
