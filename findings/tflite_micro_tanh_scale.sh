#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759: int8 TANH and LOGISTIC never look at the scale of their output.
#
# Expected: bytes that stand for tanh(x) in the output's scale and zero point, or a refusal. TFLite's rules for quantised files
# give int8 TANH a scale of 1/128 with zero point 0, and LOGISTIC 1/256 with -128, so a runtime may have no other.
# ai-edge-litert 2.3.0 has them for TANH; for LOGISTIC the default kernel has them and the reference kernel refuses.
# tflite-micro itself refuses other scales in int16, and other zero points of int8 LOGISTIC.
# Seen: its int8 TANH looks at neither, its LOGISTIC not at the scale. Both write the bytes of the usual scale without a
# message; the next layer reads them with the scale in the file, and every value is wrong by the two scales' ratio.
#
# Output seen (int8 -100, -20, 0, 20, 100 with scale 0.03; LiteRT's default kernels):
#   TANH      1/128    0: LiteRT [-127, -69, 0, 69, 127], tflite-micro [-127, -69, 0, 69, 127]
#   TANH      1/64     0: LiteRT [-64, -34, 0, 34, 64], tflite-micro [-127, -69, 0, 69, 127]
#   TANH      1/64     5: LiteRT [-59, -29, 5, 39, 69], tflite-micro [-127, -69, 0, 69, 127]
#   LOGISTIC  1/256 -128: LiteRT [-116, -37, 0, 37, 116], tflite-micro [-116, -37, 0, 37, 116]
#   LOGISTIC  1/128 -128: LiteRT [-122, -83, -64, -45, -6], tflite-micro [-116, -37, 0, 37, 116]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"  # Python 3.10 to 3.12: there are no other wheels of tflite-micro
packages=(tflite-micro==0.dev20261023182759 ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6)
"$folder/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime

SCALE = 0.03
x = np.array([[-100, -20, 0, 20, 100]], np.int8)
FUNCTIONS = {"TANH": np.tanh, "LOGISTIC": lambda v: 1 / (1 + np.exp(-v))}


def single(name, scale, zero):
    """A file with the operator `name` alone, whose output has this scale and zero point."""
    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, text, s, z in zip(tensors, (b"x", b"y"), (SCALE, scale), (0, zero)):
        tensor.name, tensor.shape, tensor.type = text, np.array(x.shape, np.int32), schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([s], np.float32), np.array([z], np.int64)
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 2
    operator.inputs, operator.outputs = np.array([0], np.int32), np.array([1], np.int32)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs, operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def full(content, resolver):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    try:
        interpreter.allocate_tensors()
    except RuntimeError:
        return None
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return interpreter.get_tensor(1).ravel().tolist()


def micro(content):
    interpreter = runtime.Interpreter.from_bytes(content)
    interpreter.set_input(x, 0)
    interpreter.invoke()
    return interpreter.get_output(0).ravel().tolist()


still, usual = True, {}
for name, steps, zero in (("TANH", 128, 0), ("TANH", 64, 0), ("TANH", 64, 5), ("LOGISTIC", 256, -128), ("LOGISTIC", 128, -128)):
    content = single(name, 1 / steps, zero)
    theirs, ours = full(content, OpResolverType.BUILTIN), micro(content)
    print(f"{name:8}  1/{steps:<3} {zero:4}: LiteRT {theirs}, tflite-micro {ours}")
    exact = np.clip(np.round(FUNCTIONS[name](SCALE * x) * steps) + zero, -128, 127).ravel().tolist()
    refuses = name == "LOGISTIC" and steps != 256
    still &= full(content, OpResolverType.BUILTIN_REF) == (None if refuses else theirs)
    still &= np.abs(np.subtract(theirs, exact)).max() <= 1
    still &= ours == usual.setdefault(name, theirs)
raise SystemExit(0 if still else 1)
PYTHON
