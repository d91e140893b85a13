#!/usr/bin/python3
"""Compares ONNX's integer operators with ONNX Runtime, byte for byte, on random models of one node.

usage: integer_operators.py OCTET ORT [--seed N] [--count N]

OCTET is the command, ORT the folder of npm's onnxruntime-node. Prints for each operator how many
models and bytes were compared and how many differ; exit code 1 if any does. Needs python3-onnx and
node.
"""
import argparse
import os
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from differential import make_job, run_octet, run_ort

U8, S8 = np.uint8, np.int8
TYPES = {U8: TensorProto.UINT8, S8: TensorProto.INT8}


class Model:
    """One node of integers, whose integer inputs are cast from float inputs."""

    def __init__(self, rng, opset):
        self.rng, self.opset = rng, opset
        self.nodes, self.constants, self.feeds = [], [], {}

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def real(self, array):
        name = f"x{len(self.feeds)}"
        self.feeds[name] = np.asarray(array, np.float32)
        return name

    def integers(self, dtype, shape):
        """A graph input of `dtype`, from a float one: runners then feed floats alone."""
        info = np.iinfo(dtype)
        real = self.real(self.rng.integers(info.min, info.max + 1, shape))
        self.nodes.append(helper.make_node("Cast", [real], [real + "q"], to=TYPES[dtype]))
        return real + "q"

    def scale(self, low=1e-3, high=0.2, count=None):
        size = () if count is None else (count,)
        return self.constant(np.exp(self.rng.uniform(np.log(low), np.log(high), size))
                             .astype(np.float32))

    def zero(self, dtype, count=None, symmetric=False):
        size = () if count is None else (count,)
        info = np.iinfo(dtype)
        return self.constant(np.zeros(size, dtype) if symmetric
                             else self.rng.integers(info.min, info.max + 1, size).astype(dtype))

    def weight(self, dtype, shape):
        info = np.iinfo(dtype)
        return self.constant(self.rng.integers(info.min, info.max + 1, shape).astype(dtype))

    def build(self, op, inputs, outputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [n for n, _ in outputs], name="node",
                                           **attributes))
        graph = helper.make_graph(
            self.nodes, "g",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
             for n, a in self.feeds.items()],
            [helper.make_tensor_value_info(n, t, None) for n, t in outputs], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 7
        return model, self.feeds


def conv_sizes(m):
    rng = m.rng
    spatial = int(rng.choice([1, 2, 2, 2, 3]))
    groups = int(rng.choice([1, 1, 2, 4]))
    c, k = groups * int(rng.integers(1, 9)), groups * int(rng.integers(1, 9))
    kernel = [int(rng.integers(1, 4)) for _ in range(spatial)]
    size = [int(rng.integers(5, 10)) for _ in range(spatial)]
    attributes = dict(kernel_shape=kernel, group=groups,
                      strides=[int(rng.integers(1, 3)) for _ in range(spatial)],
                      dilations=[int(rng.integers(1, 3)) for _ in range(spatial)],
                      pads=[int(rng.integers(0, 2)) for _ in range(2 * spatial)])
    return [int(rng.integers(1, 3)), c] + size, [k, c // groups] + kernel, attributes


def types(m):
    """ONNX Runtime has kernels for u8 with u8 or s8 and for s8 with s8."""
    return [(U8, U8), (U8, S8), (S8, S8)][int(m.rng.integers(3))]


def qlinear_conv(m):
    x, w, attributes = conv_sizes(m)
    xt, wt = types(m)
    many = bool(m.rng.integers(2))
    count = w[0] if many else None
    depth = int(np.prod(w[1:]))
    bias = [m.constant(m.rng.integers(-9000, 9000, w[0]).astype(np.int32))] if m.rng.integers(
        2) else []
    return m.build("QLinearConv", [
        m.integers(xt, x), m.scale(), m.zero(xt), m.weight(wt, w), m.scale(count=count),
        m.zero(wt, count, symmetric=many), m.scale(0.05 * depth ** 0.5, 2 * depth ** 0.5),
        m.zero(xt)] + bias, [("y", TYPES[xt])], **attributes)


def qlinear_matmul(m):
    a, k, b = (int(m.rng.integers(1, 70)) for _ in range(3))
    batch = [int(m.rng.integers(1, 4))] if m.rng.integers(3) == 0 else []
    xt, wt = types(m)
    right = m.weight(wt, [k, b]) if m.rng.integers(3) else m.integers(wt, batch + [k, b])
    return m.build("QLinearMatMul", [
        m.integers(xt, batch + [a, k]), m.scale(), m.zero(xt), right, m.scale(), m.zero(wt),
        m.scale(0.05 * k ** 0.5, 2 * k ** 0.5), m.zero(xt)], [("y", TYPES[xt])])


def conv_integer(m):
    x, w, attributes = conv_sizes(m)
    return m.build("ConvInteger", [m.integers(U8, x), m.weight(U8, w), m.zero(U8), m.zero(U8)],
                   [("y", TensorProto.INT32)], **attributes)


def matmul_integer(m):
    a, k, b = (int(m.rng.integers(1, 70)) for _ in range(3))
    xt, wt = types(m)
    right = m.weight(wt, [k, b]) if m.rng.integers(2) else m.integers(wt, [k, b])
    return m.build("MatMulInteger", [m.integers(xt, [a, k]), right, m.zero(xt), m.zero(wt)],
                   [("y", TensorProto.INT32)])


def quantize_linear(m):
    dtype = [U8, S8][int(m.rng.integers(2))]
    shape = [int(n) for n in m.rng.integers(1, 9, int(m.rng.integers(1, 5)))]
    axis = int(m.rng.integers(len(shape))) if m.opset >= 13 and m.rng.integers(2) else None
    count = None if axis is None else shape[axis]
    # powers of two make ties, which round to even
    scale = m.constant(np.float32(2.0 ** -int(m.rng.integers(1, 7)))) if m.rng.integers(
        3) == 0 and count is None else m.scale(count=count)
    x = m.rng.integers(-600, 600, shape) / 64.0 if m.rng.integers(2) else m.rng.normal(
        size=shape) * 10 ** m.rng.uniform(-2, 2)
    attributes = {} if axis is None else {"axis": axis}
    return m.build("QuantizeLinear", [m.real(x), scale, m.zero(dtype, count)],
                   [("y", TYPES[dtype])], **attributes)


def dequantize_linear(m):
    dtype = [U8, S8][int(m.rng.integers(2))]
    shape = [int(n) for n in m.rng.integers(1, 9, int(m.rng.integers(1, 5)))]
    axis = int(m.rng.integers(len(shape))) if m.opset >= 13 and m.rng.integers(2) else None
    count = None if axis is None else shape[axis]
    attributes = {} if axis is None else {"axis": axis}
    return m.build("DequantizeLinear",
                   [m.integers(dtype, shape), m.scale(count=count), m.zero(dtype, count)],
                   [("y", TensorProto.FLOAT)], **attributes)


def dynamic_quantize_linear(m):
    shape = [int(n) for n in m.rng.integers(1, 12, int(m.rng.integers(1, 4)))]
    x = m.rng.normal(size=shape) * 10 ** m.rng.uniform(-3, 3) + m.rng.uniform(-2, 2)
    return m.build("DynamicQuantizeLinear", [m.real(x)],
                   [("y", TensorProto.UINT8), ("s", TensorProto.FLOAT), ("z", TensorProto.UINT8)])


OPERATORS = [qlinear_conv, qlinear_matmul, conv_integer, matmul_integer, quantize_linear,
             dequantize_linear, dynamic_quantize_linear]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("ort")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100, help="models an operator")
    options = parser.parse_args()
    failed = False
    for number, make in enumerate(OPERATORS):
        with tempfile.TemporaryDirectory() as folder:
            jobs, names = [], []
            for i in range(options.count):
                rng = np.random.default_rng([options.seed, number, i])
                model, feeds = make(Model(rng, int(rng.choice([11, 13, 15]))))
                jobs.append(make_job(model, feeds, folder, f"m{i}"))
                names.append(model.graph.node[-1].op_type)
            compared = elements = apart = refused = 0
            for job, result in zip(jobs, run_ort(options.ort, jobs, folder)):
                if "error" in result:
                    refused += 1
                    continue
                got, error = run_octet(options.octet, job, list(result["outputs"]))
                if error:
                    print(f"{names[0]}: {error}")
                    failed = True
                    continue
                compared += 1
                for name, expected in result["outputs"].items():
                    want = np.fromfile(expected["file"], expected["type"]).reshape(expected["dims"])
                    elements += want.size
                    apart += int((got[name].astype(np.float64) != want.astype(np.float64)).sum())
            failed = failed or apart > 0 or compared == 0
            print(f"{names[0]:24} {compared:4} models, {elements:8} values, {apart} differ"
                  + (f" ({refused} that ONNX Runtime has no kernel for)" if refused else ""))
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
