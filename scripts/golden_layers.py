#!/usr/bin/python3
"""Golden hashes of whole quantized layers, from PyTorch's qnnpack and onednn engines.

Writes tests/golden/layers.txt, one layer a line: its geometry, scales and zero points, and the
FNV-1a hash of the bytes that torch computes; likewise pairs.txt (sums and products of two tensors)
and pools.txt. Inputs, weights and biases are made by the same random
generator here and in tests/test_requantize_layers.c, so that only hashes need storing.
"""
import argparse
import os
import struct
import sys
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
MASK = 2 ** 64 - 1


def stream(seed, count):
    """xorshift64* numbers of 32 bits."""
    values = np.empty(count, np.int64)
    x = seed
    for i in range(count):
        x ^= x >> 12
        x ^= (x << 25) & MASK
        x ^= x >> 27
        values[i] = ((x * 2685821657736338717) & MASK) >> 32
    return values


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) & MASK
    return value


def bits(value):
    return "%08x" % struct.unpack("<I", struct.pack("<f", float(value)))[0]


def per_tensor(integers, scale, zero_point, dtype):
    return torch._make_per_tensor_quantized_tensor(
        torch.from_numpy(integers.astype(dtype)), float(scale), int(zero_point))


def weights_of(integers, scales, zero_point, axis):
    if len(scales) == 1:
        return per_tensor(integers, scales[0], zero_point, np.int8)
    return torch._make_per_channel_quantized_tensor(
        torch.from_numpy(integers.astype(np.int8)), torch.tensor(scales.astype(np.float64)),
        torch.zeros(len(scales), dtype=torch.long), axis)


class Layer:
    def __init__(self, rng, kind, engine, case):
        self.kind, self.engine = kind, engine
        self.seed = int(rng.integers(1, 2 ** 62))
        self.rank = {"conv1": 1, "conv2": 2, "conv3": 3, "transpose1": 1, "transpose2": 2,
                     "transpose3": 3, "linear": 0}[kind]
        r = self.rank
        self.groups = int(rng.choice([1, 1, 2, 4])) if r else 1
        per_group_in, per_group_out = int(rng.integers(1, 9)), int(rng.integers(1, 9))
        if r and kind.startswith("conv") and case % 5 == 0:  # depthwise
            self.groups, per_group_in, per_group_out = int(rng.integers(2, 17)), 1, 1
        self.inputs, self.outputs = self.groups * per_group_in, self.groups * per_group_out
        if not r:
            self.inputs, self.outputs = int(rng.integers(1, 130)), int(rng.integers(1, 40))
        self.kernel = [int(k) for k in rng.integers(1, 4, r)]
        self.stride = [int(k) for k in rng.integers(1, 3, r)]
        self.padding = [int(rng.integers(0, k)) for k in self.kernel]
        self.dilation = [1 if kind.startswith("transpose") else int(k)
                         for k in rng.integers(1, 3, r)]
        size = {0: 0, 1: 23, 2: 11, 3: 7}[r]
        self.image = [int(rng.integers(size - 2, size + 1)) for _ in range(r)]
        self.batch = int(rng.integers(1, 3)) if r else int(rng.integers(3, 20))
        self.relu = case % 3 == 1 and not kind.startswith("transpose")
        self.has_bias = case % 4 != 3
        self.per_channel = case % 2 == 1 and not (kind.startswith("transpose"))
        self.weight_zero = int(rng.integers(-20, 20)) if engine == "qnnpack" and \
            not self.per_channel and case % 4 == 2 else 0
        self.input_scale = np.float32(10.0 ** rng.uniform(-3, 0))
        self.input_zero = int(rng.integers(0, 256))
        count = self.outputs if self.per_channel else 1
        self.scales = np.float32(10.0 ** rng.uniform(-3.5, -2) * rng.uniform(0.5, 2.0, count))
        self.rng = rng

    def run(self):
        torch.backends.quantized.engine = self.engine
        transpose = self.kind.startswith("transpose")
        x_shape = [self.batch, self.inputs] + self.image
        w_shape = ([self.inputs, self.outputs // self.groups] if transpose else
                   [self.outputs, self.inputs // self.groups]) + self.kernel
        x_count, w_count = int(np.prod(x_shape)), int(np.prod(w_shape))
        numbers = stream(self.seed, x_count + w_count + self.outputs)
        x = (numbers[:x_count] % 256).reshape(x_shape)
        w = (numbers[x_count:x_count + w_count] % 255 - 127).reshape(w_shape)
        # biases of up to 2^14 units of the accumulator, half a unit apart
        units = np.float32(numbers[x_count + w_count:] % 32768 - 16384) * np.float32(0.5)
        unit = np.float32(self.input_scale) * self.scales
        bias = torch.from_numpy(units * unit) if self.has_bias else None
        qx = per_tensor(x, self.input_scale, self.input_zero, np.uint8)
        qw = weights_of(w, self.scales, self.weight_zero, 0)
        depth = w_count // self.outputs
        spread = float(np.sqrt(depth) * 74 * 74 * unit.mean())
        self.output_scale = np.float32(spread * 6 / 255 * self.rng.uniform(0.4, 1.2))
        self.output_zero = int(self.rng.integers(90, 170))
        y = self.apply(qx, qw, bias, transpose)
        self.shape = list(y.shape)
        self.halves = self.engine == "onednn" and not self.is_fbgemm(qx, qw, bias, transpose, y)
        # torch gives channels-last strides; the bytes are taken in logical order
        return fnv(y.int_repr().contiguous().numpy().astype(np.uint8).tobytes()), y.numel()

    def apply(self, qx, qw, bias, transpose):
        ops = torch.ops.quantized
        scale, zero = float(self.output_scale), self.output_zero
        if self.kind == "linear":
            packed = ops.linear_prepack(qw, bias)
            return (ops.linear_relu if self.relu else ops.linear)(qx, packed, scale, zero)
        name = ("conv_transpose%dd" if transpose else "conv%dd") % self.rank
        prepack = getattr(ops, name + "_prepack")
        if transpose:
            packed = prepack(qw, bias, self.stride, self.padding, [0] * self.rank, self.dilation,
                             self.groups)
        else:
            packed = prepack(qw, bias, self.stride, self.padding, self.dilation, self.groups)
        run = getattr(ops, name + ("_relu" if self.relu else ""))
        return run(qx, packed, scale, zero)

    def is_fbgemm(self, qx, qw, bias, transpose, y):
        """Whether the bytes are those of fbgemm's formula too. onednn adds the zero point before it
        rounds, which is another byte at some halves: about one layer of a hundred has one."""
        x = qx.int_repr().double() - self.input_zero
        w = qw.int_repr().double() - self.weight_zero
        if self.kind == "linear":
            acc = x @ w.T
        elif transpose:
            run = getattr(torch.nn.functional, "conv_transpose%dd" % self.rank)
            acc = run(x, w, None, self.stride, self.padding, 0, self.groups, self.dilation)
        else:
            run = getattr(torch.nn.functional, "conv%dd" % self.rank)
            acc = run(x, w, None, self.stride, self.padding, self.dilation, self.groups)
        unit = (np.float32(self.input_scale) * self.scales) * np.ones(self.outputs, np.float32)
        column = [1, -1] + [1] * self.rank
        real = (bias.numpy() if bias is not None else np.zeros(self.outputs, np.float32)) / unit
        steps = (acc.numpy().astype(np.float32) + real.reshape(column)) * \
            (unit / self.output_scale).reshape(column)
        low = self.output_zero if self.relu else 0
        expected = np.clip(np.rint(steps) + self.output_zero, low, 255)
        return np.array_equal(expected, y.int_repr().numpy())

    def line(self, digest):
        def dims(values):
            return "x".join(map(str, values)) or "-"
        return " ".join(map(str, [
            self.kind, self.engine, self.seed, self.batch, self.inputs, self.outputs, self.groups,
            dims(self.image), dims(self.kernel), dims(self.stride), dims(self.padding),
            dims(self.dilation), int(self.relu), int(self.has_bias), bits(self.input_scale),
            self.input_zero, bits(self.output_scale), self.output_zero, self.weight_zero,
            ",".join(bits(s) for s in self.scales), dims(self.shape), "%016x" % digest]))


def pair_line(rng, op, engine, case):
    """Sum or product of two tensors. Their sizes are multiples of 64: torch computes what is left
    of a vector by another formula, in another order."""
    torch.backends.quantized.engine = engine
    seed, count = int(rng.integers(1, 2 ** 62)), 64 * int(rng.integers(1, 12))
    numbers = stream(seed, 2 * count) % 256
    a_scale, b_scale = np.float32(10.0 ** rng.uniform(-3, 0, 2))
    a_zero, b_zero, y_zero = (int(z) for z in rng.integers(0, 256, 3))
    reach = (a_scale + b_scale) * 130 if op == "add" else a_scale * b_scale * 130 * 130
    y_scale = np.float32(reach / 128 * rng.uniform(0.3, 1.5))
    relu = case % 3 == 0
    a = per_tensor(numbers[:count], a_scale, a_zero, np.uint8)
    b = per_tensor(numbers[count:], b_scale, b_zero, np.uint8)
    run = getattr(torch.ops.quantized, op + ("_relu" if relu else ""))
    y = run(a, b, float(y_scale), y_zero)
    return " ".join(map(str, [op, engine, seed, count, int(relu), bits(a_scale), a_zero,
                              bits(b_scale), b_zero, bits(y_scale), y_zero,
                              "%016x" % fnv(y.int_repr().numpy().astype(np.uint8).tobytes())]))


def pool_line(rng, op, engine):
    """A pool; like torch's, its output keeps the input's grid. Channels last, as behind quantized
    convolutions: for other strides torch adds the zero point before it rounds."""
    torch.backends.quantized.engine = engine
    seed = int(rng.integers(1, 2 ** 62))
    shape = [int(n) for n in (rng.integers(1, 3), rng.integers(1, 40), rng.integers(4, 12),
                              rng.integers(4, 12))]
    kernel = [int(rng.integers(2, 4)), int(rng.integers(1, 4))]  # qnnpack refuses 1 x 1
    stride = [int(k) for k in rng.integers(1, 3, 2)]
    scale, zero = np.float32(10.0 ** rng.uniform(-3, 0)), int(rng.integers(0, 256))
    x = per_tensor((stream(seed, int(np.prod(shape))) % 256).reshape(shape), scale, zero, np.uint8)
    x = x.contiguous(memory_format=torch.channels_last)
    if op == "max":
        y = torch.nn.functional.max_pool2d(x, kernel, stride)
    elif op == "average":
        y = torch.nn.functional.avg_pool2d(x, kernel, stride)
    else:
        y = torch.nn.functional.adaptive_avg_pool2d(x, 1)
    assert y.q_scale() == x.q_scale() and y.q_zero_point() == zero
    digest = fnv(y.int_repr().contiguous().numpy().astype(np.uint8).tobytes())
    return " ".join(map(str, [op, engine, seed, "x".join(map(str, shape)),
                              "x".join(map(str, kernel)), "x".join(map(str, stride)), bits(scale),
                              zero, "x".join(map(str, y.shape)), "%016x" % digest]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden"))
    parser.add_argument("--seed", type=int, default=22)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    os.makedirs(arguments.folder, exist_ok=True)
    kinds = ["conv1", "conv2", "conv2", "conv3", "linear", "transpose1", "transpose2", "transpose3"]
    lines, total, skipped, halves = [], {"qnnpack": 0, "onednn": 0}, {}, 0
    for case in range(48):
        for kind in kinds:
            for engine in total:
                if (kind, engine) == ("transpose3", "qnnpack"):
                    continue  # torch 1.13 gives shapes and values that make no sense
                layer = Layer(rng, kind, engine, case)
                try:
                    digest, count = layer.run()
                except (RuntimeError, NotImplementedError) as error:
                    key = (kind, engine, str(error).splitlines()[0][:70])
                    skipped[key] = skipped.get(key, 0) + 1
                    continue
                if layer.halves:
                    halves += 1
                    continue
                total[engine] += count
                lines.append(layer.line(digest))
    with open(os.path.join(arguments.folder, "layers.txt"), "w") as file:
        file.write("# torch %s: scripts/golden_layers.py\n" % torch.__version__)
        file.write("\n".join(lines) + "\n")
    with open(os.path.join(arguments.folder, "pairs.txt"), "w") as file:
        file.write("# torch %s: scripts/golden_layers.py\n" % torch.__version__)
        for case in range(100):
            for op in ("add", "mul"):
                for engine in total:
                    file.write(pair_line(rng, op, engine, case) + "\n")
    with open(os.path.join(arguments.folder, "pools.txt"), "w") as file:
        file.write("# torch %s: scripts/golden_layers.py\n" % torch.__version__)
        for case in range(60):
            for op in ("max", "average", "global"):
                for engine in total:
                    file.write(pool_line(rng, op, engine) + "\n")
    for key, count in skipped.items():
        print("skipped %d:" % count, *key, file=sys.stderr)
    print("%d layers, %s bytes; %d left out where onednn differs from fbgemm at halves" % (
        len(lines), total, halves))


if __name__ == "__main__":
    main()
