#!/usr/bin/python3
"""What torch.nn.quantized.functional and torch.ops.quantized give (PyTorch 1.13, qnnpack).

Writes tests/golden/functional.txt, a case a line: operator, grid of the input, grid of the output,
numbers (- for none), shape of the input, input bytes and output bytes in hexadecimal. Where an
operator takes two tensors, the second is the first one reversed; weights, biases and the numbers of
normalizations follow from their index, as in tests/test_functional.c.
"""
import argparse
import os
import sys
import warnings

import numpy as np
import torch
import torch.ao.nn.quantized.functional as F

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.backends.quantized.engine = "qnnpack"
CHANNELS = 4


def tensor(data, scale, zero_point):
    return torch._make_per_tensor_quantized_tensor(torch.from_numpy(data), scale, zero_point)


def line_of(count, step, low):
    """low, low + step, ... in a circle of seven."""
    return torch.tensor([low + step * (i % 7) for i in range(count)], dtype=torch.float32)


def weight(*shape):
    count = int(np.prod(shape))
    integers = np.array([k * 37 % 251 - 125 for k in range(count)], np.int8).reshape(shape)
    return tensor(integers, 0.0078125, 0)


def bias(count):
    return torch.tensor([(c * 13 % 11 - 5) * 0.3 for c in range(count)], dtype=torch.float32)


def cases(rng, shape, grid):
    """Name, function of the quantized input, numbers, shape of the input if it is another."""
    ops = torch.ops.quantized
    s, z = grid
    n, c, h, w = shape
    flipped = lambda x: torch.flip(x.reshape(-1), (0,)).reshape(x.shape)
    size = (int(rng.integers(1, 12)), int(rng.integers(1, 12)))
    small = (int(rng.integers(1, h + 3)), int(rng.integers(1, w + 3)))
    numbers = {"scale": line_of(c, 0.375, -0.75), "shift": line_of(c, 0.25, -0.5),
               "mean": line_of(c, 0.1, -0.2), "variance": line_of(c, 0.3, 0.25)}
    area = [line_of(h * w, 0.25, low).reshape(h, w) for low in (0.5, -1.0)]
    low, high = float(rng.uniform(-2, 0)), float(rng.uniform(0.1, 3))
    slope = float(np.float32(rng.uniform(-0.2, 0.9)))
    cube = (n, c, 3, h // 3 + 1, w)
    yield "relu", torch.relu
    yield "relu6", lambda x: ops.relu6(x)
    yield "clamp", lambda x: F.clamp(x, low, high), (low, high)
    yield "hardtanh", lambda x: F.hardtanh(x, low, high), (low, high)
    yield "leaky_relu", lambda x: F.leaky_relu(x, slope, scale=s, zero_point=z), (slope,)
    slopes = torch.quantize_per_tensor(torch.tensor([slope]), 1 / 128, 64, torch.quint8)
    yield "prelu", lambda x: ops.prelu(x, slopes, s, z), (slopes.dequantize().item(),)
    yield "elu", lambda x: F.elu(x, s, z, slope + 1), (slope + 1,)
    yield "hardswish", lambda x: F.hardswish(x, s, z)
    yield "hardsigmoid", lambda x: F.hardsigmoid(x)
    yield "sigmoid", torch.sigmoid
    yield "tanh", torch.tanh
    yield "softmax", lambda x: ops.softmax(x, 3, 1 / 256, 0), (3,)
    yield "max_pool", lambda x: F.max_pool2d(x, 3, 2, 1), (3, 2, 1)
    yield "avg_pool", lambda x: F.avg_pool2d(x, 2, 2, 0), (2, 2, 0)
    yield "adaptive_avg_pool", lambda x: F.adaptive_avg_pool2d(x, small), small
    yield "mean", lambda x: torch.mean(x, (2, 3), keepdim=True), (2, 3)
    yield "nearest", lambda x: F.interpolate(x, size, mode="nearest"), size
    for corners in (False, True):
        yield ("bilinear", lambda x: F.interpolate(x, size, mode="bilinear",
                                                   align_corners=corners), (*size, corners))
    yield "pixel_shuffle", lambda x: torch.pixel_shuffle(x, 2), (2,)
    yield "pad", lambda x: torch.nn.functional.pad(x, (1, 2, 0, 1), value=high), (1, 2, 0, 1, high)
    for number in (0.3, -0.4, 20.0, -20.0):
        yield "add_scalar", lambda x: ops.add_scalar(x, number), (number,)
    for number in (0.3, -2.5, 0.0):
        yield "mul_scalar", lambda x: ops.mul_scalar(x, number), (number,)
    yield "add", lambda x: ops.add(x, flipped(x), s, z)
    yield "add_relu", lambda x: ops.add_relu(x, flipped(x), s, z)
    yield "mul", lambda x: ops.mul(x, flipped(x), s, z)
    yield "mul_relu", lambda x: ops.mul_relu(x, flipped(x), s, z)
    yield "cat", lambda x: ops.cat([x, flipped(x)], 1, s, z)
    yield ("matmul", lambda x: ops.matmul(x, flipped(x), s, z), (), (n, c, h, h))
    yield ("batch_norm", lambda x: ops.batch_norm2d(
        x, numbers["scale"], numbers["shift"], numbers["mean"], numbers["variance"], 1e-5, s, z))
    yield "layer_norm", lambda x: ops.layer_norm(x, [h, w], area[0], area[1], 1e-5, s, z)
    yield ("group_norm", lambda x: ops.group_norm(
        x, 2, numbers["scale"], numbers["shift"], 1e-5, s, z))
    yield ("instance_norm", lambda x: ops.instance_norm(
        x, numbers["scale"], numbers["shift"], 1e-5, s, z))
    kernel = {"stride": 2, "padding": 1, "scale": s, "zero_point": z}
    yield ("conv1d", lambda x: F.conv1d(x, weight(5, c, 3), bias(5), **kernel), (),
           (n, c, h * w))
    yield "conv2d", lambda x: F.conv2d(x, weight(5, c, 3, 3), bias(5), **kernel)
    yield "conv3d", lambda x: F.conv3d(x, weight(5, c, 3, 3, 3), bias(5), **kernel), (), cube
    yield ("linear", lambda x: F.linear(x, weight(6, w), bias(6), s, z), (), (n * c * h, w))


def case(out, rng, name, function, numbers=(), shape=None):
    data = rng.integers(0, 256, shape).astype(np.uint8)
    scale, zero_point = float(np.float32(rng.uniform(0.01, 0.12))), int(rng.integers(0, 256))
    y = function(tensor(data, scale, zero_point))
    text = ",".join(repr(float(n)) for n in numbers) or "-"
    out.write("%s %r %d %r %d %s %s %s %s\n" % (
        name, scale, zero_point, y.q_scale(), y.q_zero_point(), text, "x".join(map(str, shape)),
        data.tobytes().hex(), y.int_repr().numpy().astype(np.uint8).tobytes().hex()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden"))
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    os.makedirs(arguments.folder, exist_ok=True)
    with open(os.path.join(arguments.folder, "functional.txt"), "w") as out:
        for _ in range(arguments.rounds):
            shape = (int(rng.integers(1, 3)), CHANNELS, int(rng.integers(3, 9)),
                     int(rng.integers(3, 9)))
            grid = float(np.float32(rng.uniform(0.02, 0.2))), int(rng.integers(0, 250))
            for name, function, *rest in cases(rng, shape, grid):
                numbers = rest[0] if rest else ()
                case(out, rng, name, function, numbers, rest[1] if len(rest) > 1 else shape)


if __name__ == "__main__":
    sys.exit(main())
