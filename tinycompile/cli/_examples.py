"""Examples in the help of commands: what for, and the command without the word "tinycompile"; the commonest first."""

from __future__ import annotations

from collections.abc import Mapping

Example = tuple[str, str]

EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "inspect": (
        ("can it be compiled?", "inspect model.tflite"),
        ("an ONNX file with a dynamic size, for a board", "inspect net.onnx --shape x=1,3,64,64 --target stm32f407"),
    ),
    "build": (
        ("firmware for a board", "build model.tflite --target stm32f746 -o out"),
        ("a float model becomes int8 by samples", "build net.onnx --calib calib.npz -o out"),
        ("within 64 KiB of RAM", "build model.tflite --ram 64K -o lean"),
        ("two models that share one arena", "build kws.tflite vww.tflite -o both"),
        ("the last layer goes on learning", "build model.tflite --train last:1 -o learning"),
    ),
    "plan": (
        ("where everything lies", "plan model.tflite --target stm32f746"),
        ("what less RAM costs", "plan model.tflite --pareto"),
    ),
    "cost": (("two models compared", "cost a.tflite b.tflite --target stm32f407"),),
    "calib": (
        ("pictures in a folder", "calib photos --model net.onnx -o calib.npz"),
        ("100 of them, as ImageNet's networks take them", "calib photos --model net.onnx --scale imagenet --limit 100"),
    ),
    "quantize": (
        ("int8 as ONNX", "quantize net.onnx --calib calib.npz -o net_int8.onnx"),
        ("int8 as TFLite", "quantize net.onnx --calib calib.npz -o net_int8.tflite"),
        (
            "few bits, at most 1 % of the accuracy lost",
            "quantize net.onnx --calib calib.npz --eval eval.npz --bits auto --accuracy-loss 1% -o net_few.onnx",
        ),
    ),
    "search": (
        ("the best network within 32 KiB of RAM", "search mobile --data digits.npz --ram 32K -o found"),
        ("a space of your own", "search my_space.py --data digits.npz --instructions 2M -o found"),
    ),
    "spaces": (
        ("which width is worth searching", "spaces mobile --shape 1,8,8 --ram 16K --by width"),
        ("two spaces compared", "spaces mobile separable --shape 1,8,8"),
    ),
    "cost-table": (
        (
            "for a loss in PyTorch",
            "cost-table plain --target stm32f103 --shape 1,8,8 --instructions 300K -o costs.json",
        ),
    ),
    "new": (
        ("an application that hears words, and how to try it", "new words --app kws --target stm32f746"),
        ("one that reads digits", "new digits --app digits --target nrf52840"),
    ),
    "run": (
        ("outputs of all samples", "run out --samples samples.npz --output y.npz"),
        ("sequences for a model with states", "run out --samples x.npz --sequence"),
    ),
    "verify": (
        ("bit for bit?", "verify out --samples samples.npz"),
        ("does the certificate still hold?", "verify out --check-certificate"),
    ),
    "bisect": (("where does it begin to deviate?", "bisect out --samples samples.npz"),),
    "train": (("learn, and keep what was learned", "train out --data new.npz --epochs 5 -o learned"),),
    "profile": (
        ("instructions and cycles of each layer", "profile out"),
        ("with a sample of your own", "profile out --samples x.npz"),
    ),
    "check": (("in CI", "check out --max-ram 64K --max-flash 256K --max-instructions 20M"),),
    "evaluate": (
        ("accuracy, and what is taken for what", "evaluate out --data labelled.npz"),
        ("beside the float model, for CI", "evaluate out --data labelled.npz --float net.onnx --at-least top1=0.9"),
    ),
    "bench": (
        ("cycles on the board, beside the estimate", "bench out --port /dev/ttyACM0"),
        ("for later estimates", "bench out --port /dev/ttyACM0 -o board.json"),
    ),
    "diff": (
        ("two builds", "diff out lean"),
        ("a report that was kept", "diff baseline.json out"),
        ("as a page", "diff out lean --html changes.html"),
    ),
    "flash": (("the only probe", "flash out"), ("one of several", "flash out --probe 066DFF")),
    "monitor": (
        ("what the board prints", "monitor out"),
        ("one inference, from this port", "monitor out --port /dev/ttyACM0 --once"),
    ),
    "targets": (("boards", "targets"), ("with your own", "targets --board-path boards")),
    "ops": (("operators and their rules", "ops"), ("SUPPORTED_OPS.md", "ops --markdown")),
    "completion": (("for bash, once", "completion bash"),),
}
