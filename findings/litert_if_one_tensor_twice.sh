#!/usr/bin/env bash
# LiteRT 2.3.0: an IF whose branch returns the same tensor as two results computes only the last of them.
#
# Expected: a branch ending in `return y, y` gives its value twice, as a subgraph that is run on its own does.
# Seen: the first result is never written: it holds whatever is in the arena there, mostly zeros. Both branches, both resolvers,
# no error. Two operators that compute the same value separately give both, so what merges equal operators in a branch breaks it.
# A file of several results where one is wanted under two names is enough.
#
# Output seen (-x in the branch, x = 1, -2, 3):
#   two operators: first right, second right
#   one tensor twice: first wrong, second right
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

x = np.array([1, -2, 3], np.float32)


def choice(twice):
    """A file with an IF: its branches are -x and |x|, as two results."""
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], []

    def graph():
        made = schema.SubGraphT()
        made.tensors, made.operators = [], []
        model.subgraphs.append(made)
        return made

    def tensor(where, size, kind=schema.TensorType.FLOAT32):
        made = schema.TensorT()
        made.name, made.shape, made.type = b"t", np.array([size], np.int32), kind
        where.tensors.append(made)
        return len(where.tensors) - 1

    def operator(where, code, inputs, outputs):
        kind, made = schema.OperatorCodeT(), schema.OperatorT()
        kind.builtinCode = kind.deprecatedBuiltinCode = code
        kind.version = 1
        model.operatorCodes.append(kind)
        made.opcodeIndex = len(model.operatorCodes) - 1
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        where.operators.append(made)
        return made

    main = graph()
    inputs = [tensor(main, 1, schema.TensorType.BOOL), tensor(main, 3)]
    outputs = [tensor(main, 3), tensor(main, 3)]
    made = operator(main, schema.BuiltinOperator.IF, inputs, outputs)
    made.builtinOptionsType, made.builtinOptions = schema.BuiltinOptions.IfOptions, schema.IfOptionsT()
    made.builtinOptions.thenSubgraphIndex, made.builtinOptions.elseSubgraphIndex = 1, 2
    main.inputs, main.outputs = made.inputs, made.outputs
    for code in (schema.BuiltinOperator.NEG, schema.BuiltinOperator.ABS):
        branch = graph()
        entry, first = tensor(branch, 3), tensor(branch, 3)
        operator(branch, code, [entry], [first])
        second = first if twice else tensor(branch, 3)
        if not twice:
            operator(branch, code, [entry], [second])
        branch.inputs, branch.outputs = np.array([entry], np.int32), np.array([first, second], np.int32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def found(twice):
    """Whether each result is right, for both resolvers and branches."""
    results = set()
    for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF):
        interpreter = Interpreter(model_content=choice(twice), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        for condition, right in ((True, -x), (False, abs(x))):
            places = [detail["index"] for detail in interpreter.get_input_details()]
            interpreter.set_tensor(places[0], np.array([condition]))
            interpreter.set_tensor(places[1], x)
            interpreter.invoke()
            ends = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
            results.add(tuple("right" if np.array_equal(end, right) else "wrong" for end in ends))
    assert len(results) == 1
    first, second = results.pop()
    print(f"{'one tensor twice' if twice else 'two operators'}: first {first}, second {second}")
    return first, second


raise SystemExit(0 if [found(False), found(True)] == [("right", "right"), ("wrong", "right")] else 1)
PYTHON
