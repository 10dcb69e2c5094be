"""Train the digit recogniser that ships with tinycompile, and write every model and data file in this folder.

Data: scikit-learn's `load_digits`, 1,797 handwritten digits, 8x8 pixels of 0..16 (here 0..1), shipped inside
scikit-learn, so nothing is downloaded. The file goes writer by writer: the first 1,415 images train, the last
382 test, so the model is tested on hands that it has never seen.

Writes to --out:
  digits_int8.tflite  int8 in, int8 out, per-channel weights, batch 1
  digits.onnx         the same network in float32, opset 17, NHWC, dynamic batch
  digits_samples.npz  input_0 int8 [60,8,8,1], labels [60], output_0 int8 [60,10] by LiteRT's reference kernels
  digits_calib.npz    input_0 float32 [100,8,8,1] (training images); x, y: the test images and labels
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from keras import layers
from sklearn.datasets import load_digits

TRAIN, CALIBRATION, PER_DIGIT = 1415, 100, 6


def main() -> None:
    args = parse_args()
    make_repeatable(args.seed, args.threads)
    x, y = load_images()
    test_x, test_y = x[TRAIN:], y[TRAIN:]
    rng = np.random.default_rng(args.seed)
    calibration = rng.permutation(x[:TRAIN])[:CALIBRATION]
    picks = [rng.choice(np.flatnonzero(test_y == digit), PER_DIGIT, replace=False) for digit in range(10)]
    chosen = np.sort(picks, axis=None)

    model = build_network()
    fit(model, x[:TRAIN], y[:TRAIN], args.epochs)
    args.out.mkdir(parents=True, exist_ok=True)
    tflite, onnx = args.out / "digits_int8.tflite", args.out / "digits.onnx"
    tflite.write_bytes(to_int8_tflite(model, calibration))
    to_onnx(model, onnx)
    inputs, outputs = run_int8(tflite, test_x)
    np.savez_compressed(
        args.out / "digits_samples.npz", input_0=inputs[chosen], labels=test_y[chosen], output_0=outputs[chosen]
    )
    np.savez_compressed(args.out / "digits_calib.npz", input_0=calibration, x=test_x, y=test_y)
    report(model, onnx, test_x, test_y, outputs)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, convert and test the digit recogniser.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the files go")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def make_repeatable(seed: int, threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def load_images() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return (digits.images[..., None] / 16).astype(np.float32), digits.target.astype(np.uint8)


def build_network() -> keras.Model:
    image = layers.Input((8, 8, 1), name="image")
    stem = layers.ReLU(name="stem_relu")(conv(image, "stem", 16, 3))
    # No batch norm here: behind a depthwise convolution tf2onnx leaves it as a Mul and an Add.
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(stem)
    x = layers.Add(name="residual")([stem, conv(x, "pointwise", 16, 1)])
    x = layers.ReLU(name="residual_relu")(x)
    x = layers.ReLU(name="down_relu")(conv(x, "down", 24, 3, stride=2))
    x = layers.ReLU(name="top_relu")(conv(x, "top", 24, 3))
    x = layers.Dropout(0.2, name="dropout")(layers.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(x), name="digits")


def conv(x: tf.Tensor, name: str, channels: int, kernel: int, stride: int = 1) -> tf.Tensor:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def fit(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train on every image and on its eight copies shifted by one pixel."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = np.concatenate([padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)])
    targets = np.eye(10, dtype=np.float32)[np.tile(y, 9)]
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(shifted) // 64))
    model.compile(keras.optimizers.Adam(rate), keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    model.fit(shifted, targets, batch_size=64, epochs=epochs, verbose=2)


def to_int8_tflite(model: keras.Model, calibration: np.ndarray) -> bytes:
    def representative() -> Iterator[list[np.ndarray]]:
        return ([image[None]] for image in calibration)

    signature = [keras.InputSpec("float32", (1, 8, 8, 1), name="image")]
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False, input_signature=signature)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def to_onnx(model: keras.Model, path: Path) -> None:
    signature = [tf.TensorSpec([None, 8, 8, 1], tf.float32, name="image")]
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path=str(path))


def run_int8(path: Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The images as the int8 that the model reads, and its int8 outputs by the reference kernels."""
    model = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    model.allocate_tensors()
    scale, zero_point = model.get_input_details()[0]["quantization"]
    inputs = np.clip(np.round(images / scale) + zero_point, -128, 127).astype(np.int8)
    run = model.get_signature_runner()
    return inputs, np.concatenate([output for image in inputs for output in run(image=image[None]).values()])


def report(model: keras.Model, onnx: Path, x: np.ndarray, y: np.ndarray, int8: np.ndarray) -> None:
    expected = model.predict(x, verbose=0)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    difference = np.abs(session.run(None, {"image": x})[0] - expected).max()
    if difference > 1e-5:
        raise RuntimeError(f"{onnx} differs from the Keras model by {difference:.1e}")
    print(f"ONNX and Keras differ by at most {difference:.1e}")
    for name, scores in ("float", expected), ("int8", int8):
        right = int((scores.argmax(1) == y).sum())
        print(f"{name} test accuracy {right}/{len(y)} = {right / len(y):.2%}")


if __name__ == "__main__":
    main()
