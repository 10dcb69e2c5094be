#!/usr/bin/env bash
# ai-edge-litert 2.3.0: NON_MAX_SUPPRESSION_V4 keeps another one of two boxes with the same score than TensorFlow does.
#
# Expected: of boxes with equal scores the one with the lowest index comes first, as in TensorFlow, from whose operator of that
# name the converter makes this one; at least some order that can be told from scores and indices.
# Seen: LiteRT's candidates are in a heap that compares scores alone, so equal ones come out in the order in which the heap
# happens to hold them. Six equal scores give 0, 2, 5, 4, 1, 3. Where boxes overlap, others survive: the detector reports
# other boxes, with other coordinates, than the model that it was made from. Equal scores aren't rare: an int8 detector has
# 256 different ones.
#
# Output seen (tensorflow-cpu 2.21.0):
#   boxes apart      TensorFlow [0, 1, 2, 3, 4, 5], LiteRT [0, 2, 5, 4, 1, 3]
#   pairs overlap    TensorFlow [0, 2, 4], LiteRT [0, 2, 5]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0 numpy==2.4.6 2>/dev/null
export TF_CPP_MIN_LOG_LEVEL=3
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

N = 6
scores = np.full(N, 0.5, np.float32)


@tf.function(input_signature=[tf.TensorSpec((N, 4), tf.float32), tf.TensorSpec((N,), tf.float32)])
def suppress(boxes, scores):
    wanted = dict(max_output_size=N, iou_threshold=0.5, score_threshold=0.0, pad_to_max_output_size=True)
    return tuple(tf.raw_ops.NonMaxSuppressionV4(boxes=boxes, scores=scores, **wanted))


concrete = suppress.get_concrete_function()
interpreter = Interpreter(model_content=tf.lite.TFLiteConverter.from_concrete_functions([concrete], suppress).convert())
interpreter.allocate_tensors()
inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()


def both(boxes):
    """Indices of the chosen boxes, from TensorFlow and from LiteRT."""
    chosen, number = suppress(boxes, scores)
    for detail in inputs:
        interpreter.set_tensor(detail["index"], boxes if len(detail["shape"]) == 2 else scores)
    interpreter.invoke()
    results = sorted((interpreter.get_tensor(d["index"]) for d in outputs), key=np.ndim)
    return [chosen.numpy()[: int(number)].tolist(), results[1][: int(results[0])].tolist()]


left = 2 * np.arange(N, dtype=np.float32)
apart = np.stack([left, 0 * left, left + 1, 0 * left + 1], 1)
pairs = apart[[0, 0, 2, 2, 4, 4]]
pairs[1::2, 3] = 0.75  # the second of each pair is three quarters of the first
seen = {"boxes apart": both(apart), "pairs overlap": both(pairs)}
for text, (theirs, ours) in seen.items():
    print(f"{text:15}  TensorFlow {theirs}, LiteRT {ours}")
expected = [[[0, 1, 2, 3, 4, 5], [0, 2, 5, 4, 1, 3]], [[0, 2, 4], [0, 2, 5]]]
raise SystemExit(0 if list(seen.values()) == expected else 1)
PYTHON
