#!/usr/bin/env bash
# tflite-micro: its compression tool writes along which axis weights have tables, its interpreter goes by the scales.
#
# One would expect the two halves of one wheel to agree, since compression by tables of values loses nothing: the header
# of a DECODE operator's second operand has the axis, and `per_channel` and `per_tensor` are choices of the
# specification file.
# What happens (tflite-micro 0.dev20261023182759): the interpreter takes as many tables as the weights have scales,
# along the axis of these, and never reads the axis in the header. Weights with one scale that are compressed per
# channel are all looked up in the first table. Results change; nothing is reported.
#
# Output seen:
#   scales        tables        same results
#   one           one           True
#   one           per channel   False
#   per channel   per channel   True
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check tflite-micro==0.dev20261023182759 numpy==2.0.0 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from importlib import import_module

import numpy as np
from tflite_micro.python.tflite_micro import runtime

MICRO = "tflite_micro.tensorflow.lite.micro"
compress, editor, spec = (import_module(f"{MICRO}.compression.{name}") for name in ("compress", "model_editor", "spec"))
schema = import_module(f"{MICRO}.python.schema_py_generated")
warnings.simplefilter("ignore")
FED = np.arange(-64, 64, 8, dtype=np.int8).reshape(1, 16)


def model(scales):
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([-60, -20, 20, 60], np.int8), (4, 16)) + np.arange(4, dtype=np.int8)[:, None]
    axis = {"axis": 0} if scales > 1 else {}
    tensors = [
        editor.Tensor((1, 16), schema.TensorType.INT8, quantization=editor.Quantization([0.1], [0])),
        editor.Tensor(
            values.shape,
            schema.TensorType.INT8,
            data=values,
            quantization=editor.Quantization([0.01] * scales, [0] * scales, **axis),
        ),
        editor.Tensor((1, 4), schema.TensorType.INT8, quantization=editor.Quantization([1.0], [0])),
    ]
    operator = editor.Operator(schema.BuiltinOperator.FULLY_CONNECTED, [*tensors[:2], None], tensors[2:])
    operator._fb.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator._fb.builtinOptions = schema.FullyConnectedOptionsT()
    graph = editor.Subgraph(tensors, [operator], tensors[:1], tensors[2:])
    return bytes(editor.Model([graph]).build())


def run(content):
    interpreter = runtime.Interpreter.from_bytes(content)
    interpreter.set_input(FED, 0)
    interpreter.invoke()
    return interpreter.get_output(0)


seen = []
print("scales        tables        same results")
for label, scales, kind, bits, mode in (
    ("one", 1, "one", 4, spec.PerTensor()),
    ("one", 1, "per channel", 2, spec.PerChannel(axis=0)),
    ("per channel", 4, "per channel", 2, spec.PerChannel(axis=0)),
):
    plain = model(scales)
    coded = compress.compress(plain, [spec.Tensor(0, 1, [spec.LookUpTableCompression(bits, mode)])])
    seen.append(bool(np.array_equal(run(plain), run(bytes(coded)))))
    print(f"{label:14}{kind:14}{seen[-1]}")
sys.exit(seen != [True, False, True])
PYTHON
