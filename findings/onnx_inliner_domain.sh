#!/usr/bin/env bash
# onnx 1.23.2: inlining operators' own definitions does nothing for the domain "ai.onnx", and fails where an operand is left out.
#
# Expected: inline_selected_functions(model, [("ai.onnx", "Clip")], exclude=False, inline_schema_functions=True) puts Clip's
# definition in place of the node: "ai.onnx" and "" are two names of one domain, as opset imports may say either. And it takes
# every valid node, with optional operands as well.
# Seen: "ai.onnx" returns the model as it was, without a word. "" works while every operand is there; if one is left out
# (Clip without a lower bound, Attention without a mask: the usual case) it raises "Type unknown for" with an empty name.
#
# Output seen:
#   "ai.onnx", both bounds: Clip
#   "", both bounds: Less Where Less Where
#   "", no lower bound: RuntimeError, Type unknown
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import onnx
import onnx.inliner
from onnx import TensorProto, helper


def inlined(domain, bounds):
    """The operators that Clip becomes."""
    shapes = {"x": [3], "low": [], "high": []}
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items() if n in ("x", *bounds)]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    graph = helper.make_graph([helper.make_node("Clip", ["x", *bounds], ["y"])], "g", values, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    try:
        found = onnx.inliner.inline_selected_functions(
            model, [(domain, "Clip")], exclude=False, inline_schema_functions=True
        )
    except RuntimeError as error:
        return "RuntimeError, " + ("Type unknown" if "Type unknown for" in str(error) else str(error))
    return " ".join(node.op_type for node in found.graph.node)


seen = [inlined("ai.onnx", ["low", "high"]), inlined("", ["low", "high"]), inlined("", ["", "high"])]
for case, result in zip(('"ai.onnx", both bounds', '"", both bounds', '"", no lower bound'), seen):
    print(f"{case}: {result}")
raise SystemExit(0 if seen[0] == "Clip" and "Clip" not in seen[1] and seen[2] == "RuntimeError, Type unknown" else 1)
PYTHON
