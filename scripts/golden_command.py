#!/usr/bin/python3
"""Golden vectors for the command: convolutions as PyTorch 1.13's qnnpack computes them.

Writes tests/golden/command.txt: for every case the convolution's shape, float weights and bias,
the calibration and test data (float32 as hex), and the bytes of the quantized output. The qconfig is
qnnpack's with a MinMaxObserver for activations, as octet quantize --qconfig qnnpack --observer
minmax has it.
"""
import argparse
import os
import warnings

import numpy as np
import torch
import torch.ao.quantization as tq

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.backends.quantized.engine = "qnnpack"
# inputs, outputs, kernel, stride, padding, groups, relu, bias
CASES = [
    (3, 5, 3, 1, 1, 1, False, True),
    (4, 6, 3, 2, 1, 2, True, True),
    (6, 6, 3, 1, 1, 6, True, True),
    (2, 8, 1, 1, 0, 1, False, False),
    (5, 2, 3, 1, 0, 1, False, True),
]
SIZE = 8


def hexed(array):
    return np.ascontiguousarray(array, "<f4").tobytes().hex()


def line(rng, inputs, outputs, kernel, stride, padding, groups, relu, bias):
    conv = torch.nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
    shape = (2, inputs, SIZE, SIZE)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(
            rng.standard_normal(tuple(conv.weight.shape)).astype(np.float32)))
        if bias:
            conv.bias.copy_(torch.from_numpy(rng.standard_normal(outputs).astype(np.float32) * 2))
        weight = conv.weight.numpy().copy()
        offset = conv.bias.numpy().copy() if bias else np.zeros(0, np.float32)
        model = torch.nn.Sequential(conv, torch.nn.ReLU()) if relu else torch.nn.Sequential(conv)
        model.eval()
        if relu:
            model = tq.fuse_modules(model, [["0", "1"]])
        model = tq.QuantWrapper(model)
        model.qconfig = tq.QConfig(
            activation=tq.MinMaxObserver.with_args(dtype=torch.quint8, reduce_range=False),
            weight=tq.default_weight_observer)
        tq.prepare(model, inplace=True)
        data = (rng.standard_normal(shape) * 1.5 + 0.3).astype(np.float32)
        test = (rng.standard_normal(shape) * 2).astype(np.float32)
        model(torch.from_numpy(data))
        tq.convert(model, inplace=True)
        result = model.module(model.quant(torch.from_numpy(test))).int_repr().numpy()
    return " ".join(map(str, (inputs, outputs, kernel, stride, padding, groups, int(relu),
                              int(bias), SIZE))) + " " + " ".join(
        [hexed(weight), hexed(offset) or "-", hexed(data), hexed(test), result.tobytes().hex()])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden"))
    parser.add_argument("--seed", type=int, default=31)
    arguments = parser.parse_args()
    folder = arguments.folder
    rng = np.random.default_rng(arguments.seed)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "command.txt"), "w") as file:
        file.write("# torch %s, qnnpack: scripts/golden_command.py\n" % torch.__version__)
        for case in CASES:
            file.write(line(rng, *case) + "\n")


if __name__ == "__main__":
    main()
