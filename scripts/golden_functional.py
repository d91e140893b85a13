#!/usr/bin/python3
"""Golden bytes of torch.nn.quantized.functional and torch.ops.quantized, PyTorch 1.13, qnnpack.

Writes tests/golden/functional.txt, a case a line:
  name  in_scale in_zero  out_scale out_zero  numbers,separated,by,commas  input hex  output hex
Input scales are exact in float32, which Octet holds scales in (PyTorch: double). Inputs are quint8 of 2x4x6x6 (the second operand of a pair is the first one reversed).
"""
import pathlib
import warnings

import numpy
import torch
import torch.nn.quantized.functional as F

warnings.filterwarnings("ignore")
torch.backends.quantized.engine = "qnnpack"
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).parent.parent
SHAPE = (2, 4, 6, 6)


def case(out, name, function, scale, zero, numbers=(), seed=0):
    q = numpy.random.RandomState(seed + 1).randint(0, 256, SHAPE).astype(numpy.uint8)
    x = torch._make_per_tensor_quantized_tensor(torch.tensor(q), scale, zero)
    y = function(x)
    s, z = y.q_scale(), y.q_zero_point()
    text = ",".join(repr(float(n)) for n in numbers) or "-"
    out.write(f"{name} {scale!r} {zero} {s!r} {z} {text} {q.tobytes().hex()} "
              f"{y.int_repr().numpy().astype(numpy.uint8).tobytes().hex()}\n")


def main():
    ops = torch.ops.quantized
    scale_c = torch.tensor([0.5, 1.5, -0.75, 1.0])
    shift_c = torch.tensor([0.25, -0.5, 0.0, 1.0])
    mean_c = torch.tensor([0.1, -0.2, 0.3, 0.0])
    variance_c = torch.tensor([0.5, 1.0, 2.0, 0.25])
    with open(ROOT / "tests/golden/functional.txt", "w") as out:
        for seed, (s, z) in enumerate([(0.046875, 128), (0.02099609375, 3), (0.109375, 200)]):
            def add(name, function, numbers=()):
                case(out, name, function, s, z, numbers, seed)

            flipped = lambda x: torch.flip(x.reshape(-1), (0,)).reshape(SHAPE)
            add("relu", torch.relu)
            add("relu6", lambda x: ops.relu6(x))
            add("clamp", lambda x: F.clamp(x, -1.0, 2.5), (-1.0, 2.5))
            add("hardtanh", lambda x: F.hardtanh(x, -0.5, 1.5), (-0.5, 1.5))
            add("leaky_relu", lambda x: F.leaky_relu(x, 0.1, scale=0.04, zero_point=60), (0.1,))
            add("elu", lambda x: F.elu(x, 0.03, 50, 1.0), (1.0,))
            add("hardswish", lambda x: F.hardswish(x, 0.03, 20))
            add("hardsigmoid", lambda x: F.hardsigmoid(x))
            add("sigmoid", torch.sigmoid)
            add("tanh", torch.tanh)
            add("softmax", lambda x: ops.softmax(x, 3, 1 / 256, 0), (3,))
            add("max_pool", lambda x: F.max_pool2d(x, 3, 2, 1), (3, 2, 1))
            add("avg_pool", lambda x: F.avg_pool2d(x, 2, 2, 0), (2, 2, 0))
            add("adaptive_avg_pool", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (3, 2))
            add("adaptive_avg_pool", lambda x: F.adaptive_avg_pool2d(x, (4, 5)), (4, 5))
            add("mean", lambda x: torch.mean(x, (2, 3), keepdim=True), (2, 3))
            add("nearest", lambda x: F.interpolate(x, (9, 4), mode="nearest"), (9, 4))
            add("bilinear", lambda x: F.interpolate(x, (9, 4), mode="bilinear",
                                                    align_corners=False), (9, 4))
            for number in (0.3, -0.4, 20.0, -20.0):
                add("add_scalar", lambda x: ops.add_scalar(x, number), (number,))
            for number in (0.3, -2.5, 0.0):
                add("mul_scalar", lambda x: ops.mul_scalar(x, number), (number,))
            add("add", lambda x: ops.add(x, flipped(x), 0.12, 110))
            add("add_relu", lambda x: ops.add_relu(x, flipped(x), 0.07, 0))
            add("mul", lambda x: ops.mul(x, flipped(x), 0.3, 100))
            add("cat", lambda x: ops.cat([x, flipped(x)], 1, 0.08, 100))
            add("batch_norm", lambda x: ops.batch_norm2d(
                x, scale_c, shift_c, mean_c, variance_c, 1e-5, 0.06, 120))
            add("layer_norm", lambda x: ops.layer_norm(
                x, [6, 6], torch.linspace(0.5, 1.5, 36).reshape(6, 6),
                torch.linspace(-1, 1, 36).reshape(6, 6), 1e-5, 0.04, 128))
            add("group_norm", lambda x: ops.group_norm(
                x, 2, scale_c, shift_c, 1e-5, 0.04, 128))
            add("instance_norm", lambda x: ops.instance_norm(
                x, scale_c, shift_c, 1e-5, 0.04, 128))


if __name__ == "__main__":
    main()
