#!/usr/bin/python3
"""Golden vectors for quantization, printing and requantization.

Writes to tests/golden: quantize.txt (torch.quantize_per_tensor and _per_channel), print.txt (how
torch prints quantized tensors), requantize.bin (accumulators and the bytes that PyTorch's qnnpack
and onednn engines make of them), tflite.txt and tflite_pairs.txt (hashes over random fixed-point
products, and over the sums and products of all pairs of u8, computed with Python's integers).
"""
import argparse
import math
import os
import struct
import sys
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
DTYPES = {"quint8": torch.quint8, "qint8": torch.qint8, "qint32": torch.qint32}


def bits(value):
    return "%08x" % struct.unpack("<I", struct.pack("<f", float(value)))[0]


def numbers(values):
    return ",".join(str(int(v)) for v in np.asarray(values).reshape(-1))


def floats(values):
    return ",".join(bits(v) for v in np.asarray(values, dtype=np.float32).reshape(-1))


def quantize_cases(rng):
    """dtype axis shape scales zero_points values integers dequantized"""
    for dtype in DTYPES:
        info = torch.iinfo(DTYPES[dtype])
        for case in range(24):
            shape = [(40,), (3, 14), (2, 3, 7), (2, 2, 3, 4)][case % 4]
            axis = -1 if case % 3 == 0 else int(rng.integers(0, len(shape)))
            count = 1 if axis < 0 else shape[axis]
            scale = np.float32(rng.uniform(0.5, 2.0, count) * 10.0 ** rng.integers(-6, 4))
            low, high = (info.min, info.max) if info.bits == 8 else (-1000, 1000)
            zero = rng.integers(low, high + 1, count)
            wide = np.float32(rng.standard_normal(shape) * 80)
            values = wide * (scale.mean() if axis < 0 else
                             scale.reshape([-1 if i == axis else 1 for i in range(len(shape))]))
            flat = values.reshape(-1)
            # halves, where the rounding shows, and values far outside
            flat[:8] = np.float32(scale.flat[0]) * np.float32(
                [0.5, 1.5, 2.5, -0.5, -1.5, 0.0, 1e5, -1e5])
            tensor = torch.from_numpy(values.astype(np.float32))
            if axis < 0:
                q = torch.quantize_per_tensor(tensor, float(scale[0]), int(zero[0]), DTYPES[dtype])
            else:
                q = torch.quantize_per_channel(tensor, torch.tensor(scale.astype(np.float64)),
                                               torch.tensor(zero), axis, DTYPES[dtype])
            yield " ".join([dtype, str(axis), "x".join(map(str, shape)), floats(scale),
                            numbers(zero), floats(values), numbers(q.int_repr()),
                            floats(q.dequantize())])


def print_cases(rng):
    """The description of a tensor, then what torch prints, then a line with a dot."""
    shapes = [(), (1,), (5,), (30,), (7, 3), (2, 3, 4), (1, 2, 3, 5), (1001,), (40, 30), (7, 12, 13),
              (2, 9, 8, 8), (0,), (2, 0)]
    for number, shape in enumerate(shapes * 3):
        dtype = list(DTYPES)[number % 3]
        per_channel = number % 2 == 1 and len(shape) > 0 and 0 not in shape
        axis = int(rng.integers(0, len(shape))) if per_channel else -1
        count = shape[axis] if per_channel else 1
        scale = np.float32(rng.uniform(0.5, 2.0, count) * 10.0 ** rng.integers(-7, 3))
        if number % 5 == 0:
            scale = np.float32(2.0 ** rng.integers(-3, 3, count))
        zero = rng.integers(0, 100, count)
        spread = [3, 60, 1][number % 3]
        shown = scale.mean() * spread
        values = torch.from_numpy(np.asarray(rng.standard_normal(shape) * shown, np.float32))
        if per_channel:
            q = torch.quantize_per_channel(values, torch.tensor(scale.astype(np.float64)),
                                           torch.tensor(zero), axis, DTYPES[dtype])
        else:
            q = torch.quantize_per_tensor(values, float(scale[0]), int(zero[0]), DTYPES[dtype])
        for tensor in (q, q.int_repr(), q.dequantize()):
            kind = "q" if tensor.is_quantized else "i" if tensor is not q and \
                not tensor.dtype.is_floating_point else "f"
            yield " ".join([kind, dtype, str(axis), "x".join(map(str, shape)) or "scalar",
                            floats(scale), numbers(zero), numbers(q.int_repr()) or "-"])
            yield str(tensor)
            yield "."


def layer(rng, engine, case):
    """One random quantized linear or convolution; yields what the C test needs of it."""
    torch.backends.quantized.engine = engine
    outputs, inputs, pixels = int(rng.integers(1, 9)), int(rng.integers(1, 40)), 24
    conv = case % 2 == 0
    per_channel = case % 4 < 2
    relu = case % 3 == 0
    affine = engine == "qnnpack" and case % 5 == 0
    weight = rng.standard_normal((outputs, inputs)) * rng.uniform(0.01, 2.0, (outputs, 1))
    sx = np.float32(10.0 ** rng.uniform(-4, 1))
    zx = int(rng.integers(0, 256))
    count = outputs if per_channel else 1
    sw = np.float32(np.abs(weight).max() / 127 * rng.uniform(0.7, 1.4, count))
    zw = int(rng.integers(-20, 20)) if affine and not per_channel else 0
    x = torch.from_numpy(rng.integers(0, 256, (pixels, inputs)).astype(np.float32) - zx) * float(sx)
    qx = torch.quantize_per_tensor(x, float(sx), zx, torch.quint8)
    w = torch.from_numpy(weight.astype(np.float32))
    if per_channel:
        qw = torch.quantize_per_channel(w, torch.tensor(sw.astype(np.float64)),
                                        torch.zeros(outputs, dtype=torch.long), 0, torch.qint8)
    else:
        qw = torch.quantize_per_tensor(w, float(sw[0]), zw, torch.qint8)
    acc = (qx.int_repr().numpy().astype(np.int64) - zx) @ (
        qw.int_repr().numpy().astype(np.int64) - zw).T
    real = acc * (np.float64(sx) * np.broadcast_to(sw, (outputs,)).astype(np.float64))
    bias = np.float32(rng.standard_normal(outputs) * (np.abs(real).max() + 1e-6) * 0.5)
    real = real + bias
    span = max(real.max() - real.min(), 1e-6)
    sy = np.float32(span / 255 * rng.uniform(0.5, 1.3))
    zy = int(np.clip(round(-real.min() / sy), 0, 255))
    b = torch.from_numpy(bias)
    if conv:
        image = qx.reshape(pixels, inputs, 1, 1)
        kernel = qw.reshape(outputs, inputs, 1, 1) if not per_channel else \
            torch.quantize_per_channel(w.reshape(outputs, inputs, 1, 1),
                                       torch.tensor(sw.astype(np.float64)),
                                       torch.zeros(outputs, dtype=torch.long), 0, torch.qint8)
        packed = torch.ops.quantized.conv2d_prepack(kernel, b, [1, 1], [0, 0], [1, 1], 1)
        op = torch.ops.quantized.conv2d_relu if relu else torch.ops.quantized.conv2d
        y = op(image, packed, float(sy), zy).reshape(pixels, outputs)
    else:
        packed = torch.ops.quantized.linear_prepack(qw, b)
        op = torch.ops.quantized.linear_relu if relu else torch.ops.quantized.linear
        y = op(qx, packed, float(sy), zy)
    head = struct.pack("<iiiiifff", {"qnnpack": 2, "onednn": 1}[engine], outputs, pixels, zy, relu,
                       sx, sy, 0.0)
    return head + np.broadcast_to(sw, (outputs,)).astype("<f4").tobytes() + \
        bias.astype("<f4").tobytes() + acc.astype("<i4").tobytes() + \
        y.int_repr().numpy().astype(np.uint8).tobytes()


class Random:
    """xorshift64*, as the C test has it."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        x = self.state
        x ^= x >> 12
        x ^= (x << 25) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 27
        self.state = x
        return ((x * 2685821657736338717) & 0xFFFFFFFFFFFFFFFF) >> 32


def half_away(numerator, denominator):
    """numerator / denominator rounded to the nearest integer, halves away from zero."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def saturate(value):
    return min(max(value, -2 ** 31), 2 ** 31 - 1)


def two_roundings(x, mantissa, shift):
    # gemmlowp's doubling high multiply takes ties upward, its shift takes them away from zero
    high = (saturate(x * 2 ** max(shift, 0)) * mantissa + 2 ** 30) // 2 ** 31
    return half_away(high, 2 ** max(-shift, 0))


def one_rounding(x, mantissa, shift):
    return saturate((x * mantissa * 2 + 2 ** (31 - shift)) // 2 ** (32 - shift))


EXTREMES = [0, 1, -1, 2, -2, 2 ** 30, -2 ** 30, 2 ** 31 - 1, -2 ** 31, -2 ** 31 + 1, 2 ** 30 - 1]


def tflite_pairs(count):
    """Accumulators, mantissas and shifts: the extremes in all combinations, then random ones."""
    for x in EXTREMES:
        for mantissa in (2 ** 30, 2 ** 30 + 1, 2 ** 31 - 1, 0x5A827999):
            for shift in range(-31, 31):
                yield x, mantissa, shift
    random = Random(88172645463325252)
    for _ in range(count):
        x = random.next() - 2 ** 31
        x = half_away(x, 2 ** (random.next() % 31))
        yield x, 2 ** 30 + random.next() % 2 ** 30, random.next() % 62 - 31


def tflite_hash(multiply, count):
    value = 14695981039346656037
    for x, mantissa, shift in tflite_pairs(count):
        value = ((value ^ (multiply(x, mantissa, shift) & 0xFFFFFFFF)) * 1099511628211) % 2 ** 64
    return value


def quantize_multiplier(value):
    """The double as a mantissa of 31 bits and a shift."""
    mantissa, shift = math.frexp(value)
    mantissa = int(half_away(int(mantissa * 2 ** 53), 2 ** 22))
    return (2 ** 30, shift + 1) if mantissa == 2 ** 31 else (mantissa, shift)


def tflite_pairs_line(rng, op, multiply):
    """TensorFlow Lite's sum or product of all pairs of u8, as a hash."""
    scales = np.float32(10.0 ** rng.uniform(-3, 0, 2))
    zeros = [int(z) for z in rng.integers(0, 256, 3)]
    reach = scales.sum() * 130 if op == "add" else scales.prod() * 130 * 130
    scales = np.append(scales, np.float32(reach / 128 * rng.uniform(0.3, 1.5)))
    a, b, y = (float(s) for s in scales)
    value = 14695981039346656037
    if op == "add":
        of_a, of_b = (quantize_multiplier(s / (2 * max(a, b))) for s in (a, b))
        of_y = quantize_multiplier(2 * max(a, b) / (2 ** 20 * y))
        first = [multiply((q - zeros[0]) * 2 ** 20, *of_a) for q in range(256)]
        second = [multiply((q - zeros[1]) * 2 ** 20, *of_b) for q in range(256)]
    else:
        of_y = quantize_multiplier(a * b / y)
    for i in range(256):
        for j in range(256):
            x = first[i] + second[j] if op == "add" else (i - zeros[0]) * (j - zeros[1])
            byte = min(max(multiply(x, *of_y) + zeros[2], 0), 255)
            value = ((value ^ byte) * 1099511628211) % 2 ** 64
    name = {two_roundings: "tflite", one_rounding: "tflite-single"}[multiply]
    return " ".join([op, name, floats(scales), numbers(zeros), "%016x" % value])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden"))
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--layers", type=int, default=400, help="layers in requantize.bin")
    arguments = parser.parse_args()
    folder = arguments.folder
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(arguments.seed)

    def write(name, lines):
        with open(os.path.join(folder, name), "w") as file:
            file.write("# torch %s: scripts/golden_requantize.py\n" % torch.__version__)
            file.write("\n".join(lines) + "\n")

    write("quantize.txt", quantize_cases(rng))
    write("print.txt", print_cases(rng))
    with open(os.path.join(folder, "requantize.bin"), "wb") as file:
        for case in range(arguments.layers):
            file.write(layer(rng, ("qnnpack", "onednn")[case // 2 % 2], case))
    write("tflite_pairs.txt", [tflite_pairs_line(rng, op, multiply) for _ in range(3)
                               for op in ("add", "mul")
                               for multiply in (two_roundings, one_rounding)])
    count = 1000000
    write("tflite.txt", ["two-roundings %d %016x" % (count, tflite_hash(two_roundings, count)),
                         "one-rounding %d %016x" % (count, tflite_hash(one_rounding, count))])


if __name__ == "__main__":
    sys.exit(main())
