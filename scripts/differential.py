#!/usr/bin/python3
"""Compares Octet with ONNX Runtime on random graphs.

usage: differential.py OCTET ORT [--seed N] [--count N] [--keep FOLDER] [--quantized SHARE]

OCTET is the command, ORT the folder of npm's onnxruntime-node. Every graph comes from its own seed,
which is printed when the two differ; the failing graph is cut down to the smallest part that still
differs and kept in FOLDER (default: differential/). Needs python3-onnx and node.

Floats may differ by 1e-4 of the largest value; integers, and floats behind a quantized layer in
steps of their grid, by one in at most 1 of 1000 places. Where ONNX Runtime's own optimizations
change the numbers of a quantized graph, it is asked again without them.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from differential_more import MORE

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "differential_ort.mjs")


class Graph:
    """A graph that grows node by node; every value's shape is known."""

    def __init__(self, seed, quantized):
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.nodes, self.constants, self.inputs, self.feeds = [], [], [], {}
        self.shapes = {}  # of float values that later nodes may use
        self.steps = {}  # of values on a grid: its scale
        self.used = set()
        self.opset = self.rng.choice([9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22])
        self.dynamic = self.rng.random() < 0.3  # the inputs' sizes are open in the model
        self.quantized = quantized
        self.count = 0

    def name(self, prefix="v"):
        self.count += 1
        return f"{prefix}{self.count}"

    def constant(self, array, prefix="c"):
        name = self.name(prefix)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, shape, scale=1.0):
        return (self.numbers.normal(size=shape) * scale).astype(np.float32)

    def ints(self, values):
        return self.constant(np.array(values, np.int64))

    def input(self, shape):
        name = self.name("x")
        dims = list(shape)
        if self.dynamic:
            # the channels stay: layers need them
            dims = [f"{name}_{i}" if i != 1 else d for i, d in enumerate(dims)]
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
        self.feeds[name] = self.floats(shape)
        self.shapes[name] = tuple(shape)
        return name

    def node(self, kind, inputs, shape=None, outputs=1, **attributes):
        """Adds a node; with a shape, its first output may be used by later nodes."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=f"{kind}_{names[0]}",
                                           **attributes))
        self.used.update(inputs)
        if shape is not None:
            self.shapes[names[0]] = tuple(int(d) for d in shape)
        return names[0] if outputs == 1 else names

    def listed(self, kind, x, name, values, since, shape, **attributes):
        """A node whose list of integers is an attribute before opset `since`, then input 1."""
        if self.opset < since:
            return self.node(kind, [x], shape, **{name: values}, **attributes)
        return self.node(kind, [x, self.ints(values)], shape, **attributes)

    def pick(self, accept=lambda shape: True, real=False):
        """A value whose shape suits. real: not one that comes from a grid, since ONNX Runtime
        quantizes float weights between grids by itself."""
        fitting = [n for n, s in self.shapes.items() if accept(s) and
                   not (real and n in self.steps)]
        # newer values more often, so that graphs get deep
        return self.rng.choice(fitting[-6:]) if fitting else None

    def model(self, outputs=None):
        if outputs is None:
            outputs = [n for n in self.shapes if n not in self.used]
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        graph = helper.make_graph(self.nodes, "random", self.inputs, infos, self.constants)
        imports = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            imports.append(helper.make_opsetid("com.microsoft", 1))
        model = helper.make_model(graph, opset_imports=imports)
        model.ir_version = 8
        return model


# ---- one function a family; each returns False if nothing in the graph suits it ----


def unary(g):
    x = g.pick()
    kind, attributes = g.rng.choice([
        ("Relu", {}), ("LeakyRelu", {"alpha": 0.1}), ("Sigmoid", {}), ("Tanh", {}), ("Erf", {}),
        ("Abs", {}), ("Neg", {}), ("HardSigmoid", {}), ("Elu", {"alpha": 0.7}), ("Selu", {}),
        ("Softplus", {}), ("Softsign", {}), ("Celu", {"alpha": 1.3}), ("Identity", {}),
        ("Sin", {}), ("Cos", {}), ("Atan", {}), ("HardSwish", {}),
    ])
    if (kind == "HardSwish" and g.opset < 14) or (kind == "Celu" and g.opset < 12):
        return False
    g.node(kind, [x], g.shapes[x], **attributes)


def guarded(g):
    """Functions that want a positive or a bounded operand."""
    x = g.pick()
    shape = g.shapes[x]
    kind = g.rng.choice(["Sqrt", "Log", "Exp", "Reciprocal", "Asinh", "Div", "Pow"])
    if kind == "Exp":
        g.node("Exp", [g.node("Tanh", [x])], shape)
        return
    positive = g.node("Add", [g.node("Abs", [x]), g.constant(np.float32(0.5))])
    if kind == "Div":
        y = g.pick(lambda s: s == shape)
        g.node("Div", [y, positive], shape)
    elif kind == "Pow":
        g.node("Pow", [positive, g.constant(np.float32(g.rng.choice([2, 0.5, -1, 1.7])))], shape)
    else:
        g.node(kind, [positive], shape)


def clip(g):
    x = g.pick()
    low, high = sorted(g.numbers.normal(size=2).astype(np.float32))
    if g.opset < 11:
        g.node("Clip", [x], g.shapes[x], min=float(low), max=float(high))
        return
    bounds = [g.constant(low) if g.rng.random() < 0.8 else "",
              g.constant(high) if g.rng.random() < 0.8 else ""]
    g.node("Clip", [x] + bounds, g.shapes[x])


def binary(g):
    x = g.pick()
    shape = g.shapes[x]
    kind = g.rng.choice(["Add", "Sub", "Mul", "Max", "Min", "Add", "Mul", "PRelu"])
    same = g.pick(lambda s: s == shape)
    if kind != "PRelu" and same and g.rng.random() < 0.4:
        y = same
    else:
        rank = g.rng.randint(0, len(shape))
        other = [d if g.rng.random() < 0.6 else 1 for d in shape[len(shape) - rank:]]
        y = g.constant(g.floats(other))
    operands = [x, y] if kind == "PRelu" or g.rng.random() < 0.7 else [y, x]
    g.node(kind, operands, shape)


def variadic(g):
    x = g.pick()
    same = [n for n, s in g.shapes.items() if s == g.shapes[x]][:4]
    g.node(g.rng.choice(["Sum", "Mean", "Max", "Min"]), same, g.shapes[x])


def compare(g):
    x = g.pick()
    shape = g.shapes[x]
    kinds = ["Greater", "Less"] + (["GreaterOrEqual", "LessOrEqual"] if g.opset >= 12 else [])
    mask = g.node(g.rng.choice(kinds),
                  [x, g.constant(g.floats([1]))])
    if g.rng.random() < 0.5:
        mask = g.node("Not", [mask])
    y = g.pick(lambda s: s == shape)
    g.node("Where", [mask, y, g.constant(g.floats([shape[-1]] if shape else []))], shape)


def transpose(g):
    x = g.pick(lambda s: len(s) >= 2)
    if not x:
        return False
    perm = list(range(len(g.shapes[x])))
    g.rng.shuffle(perm)
    g.node("Transpose", [x], [g.shapes[x][p] for p in perm], perm=perm)


def reshape(g):
    x = g.pick()
    shape = list(g.shapes[x])
    kind = g.rng.choice(["Reshape", "Flatten", "Unsqueeze", "Squeeze"])
    if kind == "Flatten":
        axis = g.rng.randint(0, len(shape))
        g.node("Flatten", [x], [np.prod(shape[:axis], dtype=int), np.prod(shape[axis:], dtype=int)],
               axis=axis)
    elif kind == "Unsqueeze" and len(shape) < 5:
        axis = g.rng.randint(0, len(shape))
        g.listed("Unsqueeze", x, "axes", [axis], 13, shape[:axis] + [1] + shape[axis:])
    elif kind == "Squeeze" and 1 in shape and len(shape) > 1:
        axis = shape.index(1)
        if g.opset < 11:
            g.listed("Squeeze", x, "axes", [axis], 13, shape[:axis] + shape[axis + 1:])
        else:
            g.listed("Squeeze", x, "axes", [axis - len(shape)], 13,
                     shape[:axis] + shape[axis + 1:])
    elif len(shape) >= 2:
        k = g.rng.randint(0, len(shape) - 2)
        target = shape[:k] + [-1] + shape[k + 2:]
        joined = shape[:k] + [shape[k] * shape[k + 1]] + shape[k + 2:]
        g.node("Reshape", [x, g.ints(target)], joined)
    else:
        return False


def reshape_split(g):
    x = g.pick(lambda s: any(d % 2 == 0 and d > 2 for d in s) and len(s) < 5)
    if not x:
        return False
    shape = list(g.shapes[x])
    k = g.rng.choice([i for i, d in enumerate(shape) if d % 2 == 0 and d > 2])
    parts = [2, shape[k] // 2] if g.rng.random() < 0.5 else [shape[k] // 2, 2]
    g.node("Reshape", [x, g.ints(shape[:k] + parts + shape[k + 1:])],
           shape[:k] + parts + shape[k + 1:])


def concat(g):
    x = g.pick(lambda s: len(s) >= 1)
    if not x:
        return False
    shape = g.shapes[x]
    axis = g.rng.randrange(len(shape))
    parts = [n for n, s in g.shapes.items() if len(s) == len(shape) and
             all(a == b for i, (a, b) in enumerate(zip(s, shape)) if i != axis)]
    parts = g.rng.sample(parts, min(len(parts), g.rng.randint(1, 3)))
    if g.rng.random() < 0.3:
        other = list(shape)
        other[axis] = g.rng.randint(1, 3)
        parts.append(g.constant(g.floats(other)))
        g.shapes[parts[-1]] = tuple(other)
    size = sum(g.shapes[p][axis] for p in parts)
    result = list(shape)
    result[axis] = size
    if np.prod(result) < 200000:
        negative = g.opset >= 11 and g.rng.random() < 0.3
        g.node("Concat", parts, result, axis=axis - len(shape) if negative else axis)
    for p in parts:
        if p.startswith("c"):
            del g.shapes[p]


def split(g):
    x = g.pick(lambda s: any(d >= 2 for d in s))
    if not x:
        return False
    shape = g.shapes[x]
    axis = g.rng.choice([i for i, d in enumerate(shape) if d >= 2])
    first = g.rng.randint(1, shape[axis] - 1)
    sizes = [first, shape[axis] - first]
    if g.opset < 13:
        names = g.node("Split", [x], outputs=2, axis=axis, split=sizes)
    else:
        names = g.node("Split", [x, g.ints(sizes)], outputs=2, axis=axis)
    for name, size in zip(names, sizes):
        g.shapes[name] = shape[:axis] + (size,) + shape[axis + 1:]


def slice_(g):
    x = g.pick(lambda s: any(d >= 2 for d in s))
    if not x:
        return False
    shape = list(g.shapes[x])
    axes = [i for i, d in enumerate(shape) if d >= 2]
    axes = g.rng.sample(axes, g.rng.randint(1, min(2, len(axes))))
    starts, ends, steps = [], [], []
    for a in axes:
        step = g.rng.choice([1, 1, 2, -1, -2]) if g.opset >= 10 else 1
        start, end = sorted(g.rng.sample(range(shape[a] + 1), 2))
        if step < 0:
            start, end = end - 1, start - 1 if start > 0 else -shape[a] - 1
            shape[a] = len(range(start, -1 if end < -1 else end, step))
        else:
            shape[a] = len(range(start, end, step))
        starts.append(start)
        ends.append(end)
        steps.append(step)
    if g.opset < 10:
        g.node("Slice", [x], shape, starts=starts, ends=ends, axes=axes)
        return
    g.node("Slice", [x, g.ints(starts), g.ints(ends), g.ints(axes), g.ints(steps)], shape)


def pad(g):
    x = g.pick(lambda s: len(s) >= 2 and np.prod(s) < 20000)
    if not x:
        return False
    shape = g.shapes[x]
    mode = g.rng.choice(["constant", "constant", "reflect", "edge"])
    most = [min(2, d - 1) for d in shape]
    begin = [g.rng.randint(0, m) for m in most]
    end = [g.rng.randint(0, m) for m in most]
    padded = [b + d + e for b, d, e in zip(begin, shape, end)]
    if g.opset < 11:
        g.node("Pad", [x], padded, mode=mode, pads=begin + end)
        return
    inputs = [x, g.ints(begin + end)]
    if mode == "constant" and g.rng.random() < 0.5:
        inputs.append(g.constant(np.float32(g.numbers.normal())))
    g.node("Pad", inputs, padded, mode=mode)


def gather(g):
    x = g.pick(lambda s: len(s) >= 1 and len(s) < 5)
    if not x:
        return False
    shape = g.shapes[x]
    axis = g.rng.randrange(len(shape))
    count = g.rng.choice([(), (2,), (3,), (2, 2)]) if len(shape) < 4 else g.rng.choice([(), (2,)])
    indices = g.numbers.integers(-shape[axis] if g.opset >= 11 else 0, shape[axis], size=count)
    g.node("Gather", [x, g.constant(np.asarray(indices, np.int64))],
           shape[:axis] + tuple(count) + shape[axis + 1:], axis=axis)


def expand(g):
    x = g.pick(lambda s: np.prod(s, dtype=int) < 5000 and len(s) < 5 and len(s) >= 1)
    if not x:
        return False
    shape = g.shapes[x]
    if g.rng.random() < 0.5:
        repeats = [g.rng.randint(1, 2) for _ in shape]
        g.node("Tile", [x, g.ints(repeats)], [d * r for d, r in zip(shape, repeats)])
        return
    target = [g.rng.randint(2, 3) if d == 1 else d for d in shape]
    if g.rng.random() < 0.3:
        target = [2] + target
    g.node("Expand", [x, g.ints(target)], target)


def space(g):
    x = g.pick(lambda s: len(s) == 4 and (s[1] % 4 == 0 or (s[2] % 2 == 0 and s[3] % 2 == 0)))
    if not x:
        return False
    n, c, h, w = g.shapes[x]
    if c % 4 == 0:
        mode = {"mode": g.rng.choice(["DCR", "CRD"])} if g.opset >= 11 else {}
        g.node("DepthToSpace", [x], (n, c // 4, h * 2, w * 2), blocksize=2, **mode)
    else:
        g.node("SpaceToDepth", [x], (n, c * 4, h // 2, w // 2), blocksize=2)


def conv_size(size, kernel, stride, dilation, begin, end):
    return (size + begin + end - (kernel - 1) * dilation - 1) // stride + 1


def conv(g):
    x = g.pick(lambda s: len(s) in (3, 4, 5) and s[0] * np.prod(s[2:]) < 3000 and s[1] < 65,
               real=True)
    if not x:
        return False
    shape = g.shapes[x]
    axes = len(shape) - 2
    channels = shape[1]
    group = g.rng.choice([1, 1, channels] + [d for d in (2, 4) if channels % d == 0])
    out = group * g.rng.randint(1, 8 if group < 4 else 2)
    kernel = [g.rng.choice([1, 3, 2, 5]) for _ in range(axes)]
    stride = [g.rng.choice([1, 1, 2]) for _ in range(axes)]
    dilation = [g.rng.choice([1, 1, 2]) for _ in range(axes)]
    begin = [g.rng.randint(0, (k - 1) * d) for k, d in zip(kernel, dilation)]
    end = [g.rng.randint(0, (k - 1) * d) for k, d in zip(kernel, dilation)]
    sizes = [conv_size(*a) for a in zip(shape[2:], kernel, stride, dilation, begin, end)]
    if min(sizes) < 1:
        return False
    weight = g.floats([out, channels // group] + kernel,
                      1 / np.sqrt(channels // group * np.prod(kernel)))
    inputs = [x, g.constant(weight, "w")]
    if g.rng.random() < 0.7:
        inputs.append(g.constant(g.floats([out]), "b"))
    y = g.node("Conv", inputs, (shape[0], out, *sizes), group=group, strides=stride,
               dilations=dilation, pads=begin + end, kernel_shape=kernel)
    if g.rng.random() < 0.3:
        g.node("BatchNormalization",
               [y, g.constant(g.floats([out])), g.constant(g.floats([out])),
                g.constant(g.floats([out])), g.constant(np.abs(g.floats([out])) + 0.5)],
               g.shapes[y])
    if g.rng.random() < 0.5:
        g.node("Relu", [g.pick(lambda s: s == g.shapes[y])], g.shapes[y])


def conv_transpose(g):
    x = g.pick(lambda s: len(s) in (3, 4) and s[0] * np.prod(s[2:]) < 1500 and s[1] < 33,
               real=True)
    if not x:
        return False
    shape = g.shapes[x]
    axes = len(shape) - 2
    group = g.rng.choice([1, 1] + [d for d in (2, shape[1]) if shape[1] % d == 0])
    out = g.rng.randint(1, 4)
    kernel = [g.rng.choice([1, 2, 3, 4]) for _ in range(axes)]
    stride = [g.rng.choice([1, 2]) for _ in range(axes)]
    pads = [g.rng.randint(0, (k - 1) // 2) for k in kernel]
    extra = [g.rng.randint(0, s - 1) for s in stride]
    sizes = [(d - 1) * s + k - 2 * p + e
             for d, s, k, p, e in zip(shape[2:], stride, kernel, pads, extra)]
    window = {"pads": pads + pads}
    if g.rng.random() < 0.3:
        # the size is stated, and the padding follows, also where it is odd
        sizes = [size + 2 * p - g.rng.randint(0, k - 1) for size, p, k in zip(sizes, pads, kernel)]
        window = {"output_shape": sizes}
        if g.rng.random() < 0.5:
            window["auto_pad"] = g.rng.choice(["SAME_UPPER", "SAME_LOWER"])
    if min(sizes) < 1:
        return False
    weight = g.floats([shape[1], out] + kernel, 1 / np.sqrt(shape[1]))
    g.node("ConvTranspose", [x, g.constant(weight, "w"), g.constant(g.floats([out * group]))],
           (shape[0], out * group, *sizes), group=group, strides=stride,
           output_padding=extra, kernel_shape=kernel, **window)


def pool(g):
    x = g.pick(lambda s: len(s) in (3, 4, 5) and min(s[2:]) >= 2)
    if not x:
        return False
    shape = g.shapes[x]
    axes = len(shape) - 2
    kind = g.rng.choice(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])
    if kind.startswith("Global"):
        g.node(kind, [x], shape[:2] + (1,) * axes)
        return
    kernel = [g.rng.randint(1, min(3, d)) for d in shape[2:]]
    stride = [g.rng.randint(1, 2) for _ in kernel]
    begin = [g.rng.randint(0, k - 1) for k in kernel]
    end = [g.rng.randint(0, k - 1) for k in kernel]
    sizes = [conv_size(d, k, s, 1, b, e)
             for d, k, s, b, e in zip(shape[2:], kernel, stride, begin, end)]
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": begin + end}
    if kind == "AveragePool":
        attributes["count_include_pad"] = g.rng.randint(0, 1)
    if min(sizes) < 1:
        return False
    g.node(kind, [x], shape[:2] + tuple(sizes), **attributes)


def gemm(g):
    x = g.pick(lambda s: len(s) == 2 and s[1] <= 512, real=True)
    if not x:
        return False
    m, k = g.shapes[x]
    n = g.rng.randint(1, 20)
    transposed = g.rng.randint(0, 1)
    weight = g.floats([n, k] if transposed else [k, n], 1 / np.sqrt(k))
    inputs = [x, g.constant(weight, "w")]
    if g.rng.random() < 0.7:
        inputs.append(g.constant(g.floats(g.rng.choice([[n], [1, n], [m, n], [1]])), "b"))
    elif g.opset < 11:
        inputs.append(g.constant(g.floats([n]), "b"))
    alpha = g.rng.choice([1.0, 1.0, 0.5])
    beta = g.rng.choice([1.0, 1.0, 2.0])
    g.node("Gemm", inputs, (m, n), transB=transposed, alpha=alpha, beta=beta)


def matmul(g):
    x = g.pick(lambda s: len(s) >= 2 and s[-1] <= 256, real=True)
    if not x:
        return False
    shape = g.shapes[x]
    k = shape[-1]
    other = g.pick(lambda s: len(s) == len(shape) and s[-2] == k and s[:-2] == shape[:-2])
    if other and g.rng.random() < 0.5:
        scaled = g.node("Mul", [other, g.constant(np.float32(1 / np.sqrt(k)))])
        g.node("MatMul", [x, scaled], shape[:-1] + (g.shapes[other][-1],))
        return
    n = g.rng.randint(1, 16)
    g.node("MatMul", [x, g.constant(g.floats([k, n], 1 / np.sqrt(k)), "w")], shape[:-1] + (n,))


def normalize(g):
    kind = g.rng.choice(["Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization",
                         "LRN"])
    x = g.pick(lambda s: len(s) >= (3 if kind in ("InstanceNormalization", "LRN") else 1))
    if not x:
        return False
    shape = g.shapes[x]
    if kind in ("Softmax", "LogSoftmax"):
        # before opset 13 everything from the axis on is one row
        low = -len(shape) if g.opset >= 11 else 0
        g.node(kind, [x], shape, axis=g.rng.randrange(low, len(shape)))
    elif kind == "LayerNormalization":
        if g.opset < 17 or shape[-1] < 3:
            return False
        g.node(kind, [x, g.constant(g.floats([shape[-1]])), g.constant(g.floats([shape[-1]]))],
               shape, axis=-1)
    elif kind == "InstanceNormalization":
        if np.prod(shape[2:]) < 4:
            return False
        g.node(kind, [x, g.constant(g.floats([shape[1]])), g.constant(g.floats([shape[1]]))], shape,
               epsilon=1e-2)
    elif len(shape) == 4:
        g.node("LRN", [x], shape, size=g.rng.choice([1, 3, 5]), alpha=0.01, beta=0.75, bias=1.0)


def resize(g):
    x = g.pick(lambda s: len(s) == 4 and np.prod(s) < 5000)
    if not x:
        return False
    shape = g.shapes[x]
    if g.opset < 11:
        scales = np.array([1, 1, g.rng.choice([1, 2, 3]), g.rng.choice([1, 2])], np.float32)
        kind = "Upsample" if g.opset < 10 else "Resize"
        g.node(kind, [x, g.constant(scales)], [int(d * s) for d, s in zip(shape, scales)],
               mode=g.rng.choice(["nearest", "linear"]))
        return
    if g.opset < 13:
        return False  # roi may not be left out yet
    mode = g.rng.choice(["nearest", "linear", "cubic"])
    transform = g.rng.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    sizes = [shape[0], shape[1]] + [g.rng.randint(1, 2 * d) for d in shape[2:]]
    attributes = {"mode": mode, "coordinate_transformation_mode": transform}
    if mode == "nearest":
        attributes["nearest_mode"] = g.rng.choice(["floor", "ceil", "round_prefer_floor",
                                                   "round_prefer_ceil"])
    if mode == "cubic":
        attributes["cubic_coeff_a"] = g.rng.choice([-0.75, -0.5])
    g.node("Resize", [x, "", "", g.ints(sizes)], sizes, **attributes)


def reduce(g):
    x = g.pick(lambda s: len(s) >= 1)
    if not x:
        return False
    shape = list(g.shapes[x])
    axes = sorted(g.rng.sample(range(len(shape)), g.rng.randint(1, len(shape))))
    keep = g.rng.randint(0, 1)
    kind = g.rng.choice(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1",
                         "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"])
    result = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
    g.listed(kind, x, "axes", axes, 13 if kind == "ReduceSum" else 18, result, keepdims=keep)


def order(g):
    x = g.pick(lambda s: len(s) >= 1 and max(s) > 1)
    if not x:
        return False
    shape = g.shapes[x]
    axis = g.rng.randrange(len(shape))
    kind = g.rng.choice(["TopK", "CumSum"])
    if g.opset < 11:
        return False
    if kind == "CumSum":
        g.node("CumSum", [x, g.constant(np.array(axis, np.int64))], shape,
               exclusive=g.rng.randint(0, 1), reverse=g.rng.randint(0, 1))
        return
    k = g.rng.randint(1, shape[axis])
    values, _ = g.node("TopK", [x, g.ints([k])], outputs=2, axis=axis, largest=g.rng.randint(0, 1))
    g.shapes[values] = shape[:axis] + (k,) + shape[axis + 1:]


def attend(g):
    """Shape arithmetic as exporters write it: flattening by Shape, Gather and Concat."""
    x = g.pick(lambda s: len(s) >= 2)
    if not x:
        return False
    shape = g.shapes[x]
    dims = g.node("Shape", [x])
    first = g.node("Gather", [dims, g.constant(np.array(0, np.int64))], axis=0)
    one = g.listed("Unsqueeze", first, "axes", [0], 13, None)
    target = g.node("Concat", [one, g.ints([-1])], axis=0)
    g.node("Reshape", [x, target], (shape[0], int(np.prod(shape[1:]))))


def quantize(g, x):
    """QuantizeLinear and DequantizeLinear around a value, on a grid that suits values around 1."""
    if x in g.steps:
        # ONNX Runtime makes one grid of two in a row, which changes the numbers
        return x
    shape = g.shapes.get(x)
    kind = g.rng.choice([np.uint8, np.uint8, np.int8])
    scale = np.float32(g.rng.uniform(0.01, 0.04))
    zero = kind(g.rng.randint(100, 150) if kind == np.uint8 else g.rng.randint(-20, 20))
    parameters = [g.constant(scale, "s"), g.constant(zero, "z")]
    q = g.node("QuantizeLinear", [x] + parameters)
    y = g.node("DequantizeLinear", [q] + parameters, shape)
    g.steps[y] = float(scale)
    return y


def quantized_matrix(g):
    """A matrix product between grids: with constant weights, or of two activations."""
    x = g.pick(lambda s: len(s) in (2, 3) and s[-1] <= 256)
    if not x:
        return False
    shape = g.shapes[x]
    k = shape[-1]
    x = quantize(g, x)
    if len(shape) == 3 and g.rng.random() < 0.3:
        turned = g.node("Transpose", [x], (shape[0], k, shape[1]), perm=[0, 2, 1])
        y = g.node("MatMul", [x, turned], (shape[0], shape[1], shape[1]))
        g.steps[turned] = g.steps[x]
    else:
        n = g.rng.randint(1, 24)
        weight = g.numbers.integers(-127, 128, size=(k, n)).astype(np.int8)
        scale = np.float32(g.rng.uniform(0.003, 0.01) / np.sqrt(k))
        w = g.node("DequantizeLinear", [g.constant(weight, "w"), g.constant(scale, "s"),
                                        g.constant(np.int8(0), "z")])
        if len(shape) == 2 and g.rng.random() < 0.6:
            bias = g.numbers.integers(-2000, 2000, size=[n]).astype(np.int32)
            step = np.float32(g.steps[x]) * scale
            b = g.node("DequantizeLinear", [g.constant(bias, "b"), g.constant(step),
                                            g.constant(np.int32(0))])
            y = g.node("Gemm", [x, w, b], (shape[0], n))
        else:
            y = g.node("MatMul", [x, w], shape[:-1] + (n,))
    quantize(g, y)


def quantized_mover(g):
    """What only moves data, between grids of one scale or two."""
    x = g.pick(lambda s: len(s) == 4 and np.prod(s) < 4000)
    if not x:
        return False
    n, c, h, w = g.shapes[x]
    x = quantize(g, x)
    kind = g.rng.choice(["Transpose", "Reshape", "Pad", "Slice", "Resize", "ReduceMean",
                         "LeakyRelu", "Clip", "Tanh"])
    if kind == "Transpose":
        y = g.node(kind, [x], (n, h, w, c), perm=[0, 2, 3, 1])
    elif kind == "Reshape":
        y = g.node(kind, [x, g.ints([n, -1])], (n, c * h * w))
    elif kind == "Pad":
        y = g.node(kind, [x, g.ints([0, 0, 1, 0, 0, 0, 0, 2])], (n, c, h + 1, w + 2))
    elif kind == "Slice":
        y = g.node(kind, [x, g.ints([0]), g.ints([h]), g.ints([2]), g.ints([2])],
                   (n, c, (h + 1) // 2, w))
    elif kind == "Resize":
        y = g.node(kind, [x, "", g.constant(np.array([1, 1, 2, 2], np.float32))],
                   (n, c, 2 * h, 2 * w), mode="nearest", nearest_mode="floor",
                   coordinate_transformation_mode="asymmetric")
    elif kind == "ReduceMean":
        y = g.listed(kind, x, "axes", [2, 3], 18, (n, c, 1, 1))
    elif kind == "Clip":
        y = g.node(kind, [x, g.constant(np.float32(-0.5)), g.constant(np.float32(1.5))],
                   (n, c, h, w))
    else:
        y = g.node(kind, [x], (n, c, h, w))
    if kind in ("Transpose", "Reshape", "Slice", "Resize"):
        # the same grid behind as in front, as quantizers write it
        parameters = list(g.nodes[-2].input[1:]) if g.nodes[-2].op_type == "DequantizeLinear" else None
        if parameters:
            q = g.node("QuantizeLinear", [y] + parameters)
            z = g.node("DequantizeLinear", [q] + parameters, g.shapes[y])
            g.steps[z] = g.steps[x]
            return
    quantize(g, y)


def quantized_layer(g):
    """A layer between grids, as a quantizer writes it."""
    x = g.pick(lambda s: len(s) == 4 and s[1] < 65 and s[0] * np.prod(s[2:]) < 3000)
    if not x:
        return False
    shape = g.shapes[x]
    x = quantize(g, x)
    # no Softmax: ONNX Runtime's own int8 form rounds the exponentials
    kind = g.rng.choice(["Conv", "Conv", "Add", "Mul", "AveragePool", "MaxPool", "Sigmoid",
                         "Concat", "GlobalAveragePool", "HardSwish"])
    if kind == "Conv":
        channels = shape[1]
        group = g.rng.choice([1, 1, channels])
        out = group if group > 1 else g.rng.randint(1, 16)
        k = g.rng.choice([1, 3])
        stride = g.rng.choice([1, 1, 2])
        sizes = [conv_size(d, k, stride, 1, k // 2, k // 2) for d in shape[2:]]
        weight = g.numbers.integers(-127, 128, size=(out, channels // group, k, k)).astype(np.int8)
        scale = (np.abs(g.floats([out])) * 0.01 + 0.002) / np.float32(np.sqrt(channels // group))
        per_channel = g.rng.random() < 0.6
        scale = scale.astype(np.float32) if per_channel else np.float32(scale[0])
        zero = np.zeros([out], np.int8) if per_channel else np.int8(0)
        w = g.node("DequantizeLinear", [g.constant(weight, "w"), g.constant(scale, "s"),
                                        g.constant(zero, "z")], axis=0)
        inputs = [x, w]
        if g.rng.random() < 0.7:
            step = np.float32(g.steps[x]) * scale
            bias = g.numbers.integers(-3000, 3000, size=[out]).astype(np.int32)
            bias_zero = np.zeros([out], np.int32) if per_channel else np.int32(0)
            inputs.append(g.node("DequantizeLinear",
                                 [g.constant(bias, "b"), g.constant(np.asarray(step, np.float32)),
                                  g.constant(bias_zero)], axis=0))
        y = g.node("Conv", inputs, (shape[0], out, *sizes), group=group, strides=[stride] * 2,
                   pads=[k // 2] * 4, kernel_shape=[k, k])
        if g.rng.random() < 0.4:
            y = g.node("Relu", [y], g.shapes[y])
    elif kind in ("Add", "Mul"):
        other = quantize(g, g.pick(lambda s: s == shape))
        y = g.node(kind, [x, other], shape)
    elif kind == "Concat":
        y = g.node("Concat", [x, quantize(g, g.pick(lambda s: s == shape))],
                   (shape[0], 2 * shape[1], *shape[2:]), axis=1)
    elif kind == "MaxPool":
        y = g.node(kind, [x], shape, kernel_shape=[3, 3], pads=[1] * 4)
    elif kind == "AveragePool":
        y = g.node(kind, [x], shape, kernel_shape=[3, 3], pads=[1] * 4)
    elif kind == "GlobalAveragePool":
        y = g.node(kind, [x], shape[:2] + (1, 1))
    elif kind == "HardSwish" and g.opset < 14:
        return False
    else:
        y = g.node(kind, [x], shape)
    quantize(g, y)


# ---- what later opsets brought ----


def later_unary(g):
    kind, since, attributes = g.rng.choice([
        ("Mish", 18, {}), ("Gelu", 20, {}), ("Gelu", 20, {"approximate": "tanh"}),
    ])
    if g.opset < since:
        return False
    x = g.pick()
    g.node(kind, [x], g.shapes[x], **attributes)


def group_normalize(g):
    x = g.pick(lambda s: len(s) >= 3 and s[1] in (2, 4, 6, 8))
    if not x or g.opset < 21:
        return False
    channels = g.shapes[x][1]
    g.node("GroupNormalization", [x, g.constant(g.floats([channels])),
                                  g.constant(g.floats([channels]))], g.shapes[x],
           num_groups=g.rng.choice([1, 2, channels]),
           epsilon=0.01)  # a group that is nearly constant would make noise 300 times as large


def crop_or_wrap(g):
    x = g.pick(lambda s: 1 <= len(s) and min(s) >= 2)
    if not x or g.opset < 19:
        return False
    shape = list(g.shapes[x])
    axis = g.rng.randrange(len(shape))
    if g.rng.random() < 0.5:
        shape[axis] = g.rng.randint(1, 2 * shape[axis])
        g.node("CenterCropPad", [x, g.ints([shape[axis]])], shape, axes=[axis])
        return
    before, after = (g.rng.randint(0, shape[axis] - 1) for _ in range(2))
    pads = [0] * (2 * len(shape))
    pads[axis], pads[axis + len(shape)] = before, after
    shape[axis] += before + after
    g.node("Pad", [x, g.ints(pads)], shape, mode="wrap")


def dilated_average(g):
    x = g.pick(lambda s: len(s) == 4 and min(s[2:]) >= 5)
    if not x or g.opset < 19:
        return False
    shape = g.shapes[x]
    sizes = [conv_size(d, 3, 1, 2, 1, 1) for d in shape[2:]]
    g.node("AveragePool", [x], (*shape[:2], *sizes), kernel_shape=[3, 3], dilations=[2, 2],
           pads=[1] * 4, count_include_pad=g.rng.randint(0, 1))


def shrink_smoothly(g):
    x = g.pick(lambda s: len(s) == 4 and min(s[2:]) >= 4)
    if not x or g.opset < 18:
        return False
    shape = g.shapes[x]
    sizes = [g.rng.randint(2, d) for d in shape[2:]]
    g.node("Resize", [x, "", "", g.ints([*shape[:2], *sizes])], (*shape[:2], *sizes),
           mode=g.rng.choice(["linear", "cubic"]), antialias=1)


def grid_sample(g):
    x = g.pick(lambda s: len(s) == 4)
    if not x or g.opset < 16:
        return False
    n, c = g.shapes[x][:2]
    h, w = g.rng.randint(1, 5), g.rng.randint(1, 5)
    mode = g.rng.choice(["bilinear", "nearest", "bicubic"] if g.opset < 20 else
                        ["linear", "nearest", "cubic"])
    grid = g.constant(g.numbers.uniform(-1.2, 1.2, size=(n, h, w, 2)).astype(np.float32))
    g.node("GridSample", [x, grid], (n, c, h, w), mode=mode,
           padding_mode=g.rng.choice(["zeros", "border", "reflection"]),
           align_corners=g.rng.randint(0, 1))


def scatter(g):
    x = g.pick(lambda s: len(s) >= 1 and min(s) >= 1)
    if not x or g.opset < 16:
        return False
    shape = g.shapes[x]
    axis = g.rng.randrange(len(shape))
    part = [g.rng.randint(1, d) for d in shape]
    # no place twice, so that the order of additions does not matter
    indices = np.stack([g.numbers.permutation(shape[axis])[:part[axis]] for _ in
                        range(int(np.prod(part)) // part[axis])], axis=-1)
    rest = part[:axis] + part[axis + 1:]
    indices = np.moveaxis(indices.reshape([part[axis]] + rest), 0, axis).astype(np.int64)
    reduction = g.rng.choice(["none", "add", "mul"] + (["max", "min"] if g.opset >= 18 else []))
    g.node("ScatterElements", [x, g.constant(indices, "i"), g.constant(g.floats(part))], shape,
           axis=axis, reduction=reduction)


def sequence(g):
    """Cut to pieces, one of which goes to the end, and joined again."""
    x = g.pick(lambda s: any(d >= 2 for d in s))
    if not x or g.opset < 11:
        return False
    shape = g.shapes[x]
    axis = g.rng.choice([i for i, d in enumerate(shape) if d >= 2])
    pieces = g.node("SplitToSequence", [x, g.constant(np.int64(g.rng.randint(1, shape[axis])))],
                    axis=axis)
    first = g.node("SequenceAt", [pieces, g.constant(np.int64(0))])
    rest = g.node("SequenceErase", [pieces, g.constant(np.int64(0))])
    turned = g.node("SequenceInsert", [rest, first])
    g.node("ConcatFromSequence", [turned], shape, axis=axis)


LATER = [later_unary, group_normalize, crop_or_wrap, dilated_average, shrink_smoothly, grid_sample,
         scatter, sequence]
FLOAT = [unary, unary, guarded, clip, binary, binary, variadic, compare, transpose, reshape,
         reshape_split, concat, split, slice_, pad, gather, expand, space, conv, conv, conv,
         conv_transpose, pool, pool, gemm, matmul, normalize, normalize, resize, reduce, order,
         attend] + LATER


def generate(seed, share):
    rng = random.Random(seed * 7 + 1)
    quantized = rng.random() < share
    g = Graph(seed, quantized)
    if quantized:
        # in opset 21 ONNX Runtime mistakes the type that some QuantizeLinear gives
        g.opset = min(max(g.opset, 13), 20)
    for _ in range(rng.randint(1, 2)):
        rank = rng.choice([2, 3, 4, 4, 4, 5])
        g.input([rng.randint(1, 2)] + [rng.randint(1, 9) for _ in range(min(rank, 4) - 1)] +
                [rng.randint(1, 4)] * (rank == 5))
    if quantized and not any(len(s) == 4 for s in g.shapes.values()):
        g.input([rng.randint(1, 2), rng.randint(1, 8), rng.randint(3, 9), rng.randint(3, 9)])
    wanted = rng.randint(5, 40) if not quantized else rng.randint(5, 25)
    for _ in range(200):
        if len(g.nodes) >= wanted:
            break
        family = rng.choice([quantized_layer] * 8 + [quantized_matrix] * 3 +
                            [quantized_mover] * 3 + FLOAT if quantized else FLOAT + MORE)
        family(g)
    return g


# ---- running and comparing ----


def run_ort(ort, jobs, folder):
    path = os.path.join(folder, "jobs.json")
    with open(path, "w") as f:
        json.dump(jobs, f)
    done = subprocess.run(["node", RUNNER, ort, path], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def make_job(model, feeds, folder, name):
    """Writes the model and its inputs; the outputs will lie beside them."""
    path = os.path.join(folder, name)
    os.makedirs(path, exist_ok=True)
    onnx.save(model, os.path.join(path, "model.onnx"))
    inputs = {}
    for i, (key, array) in enumerate(feeds.items()):
        np.save(os.path.join(path, f"{key}.npy"), array)
        array.tofile(os.path.join(path, f"{key}.bin"))
        inputs[key] = {"dims": list(array.shape), "file": os.path.join(path, f"{key}.bin")}
    return {"model": os.path.join(path, "model.onnx"), "inputs": inputs, "folder": path}


def run_octet(octet, job, outputs):
    command = [octet, "run", job["model"], "--quiet", "--threads", "1"]
    for name in job["inputs"]:
        command += ["--input", f"{name}={job['folder']}/{name}.npy"]
    for name in outputs:
        command += ["--output", f"{name}={job['folder']}/{name}.out.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        return None, done.stderr.strip() or f"exit code {done.returncode}"
    return {n: np.load(f"{job['folder']}/{n}.out.npy") for n in outputs}, None


def difference(got, expected, on_grid):
    """What differs, or None."""
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    if got.size == 0:
        return None
    a, b = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(np.isnan(a), np.isnan(b)) or not np.array_equal(a[~finite & ~np.isnan(b)],
                                                                           b[~finite & ~np.isnan(b)]):
        return "infinities or NaN differ"
    if not finite.any():
        return None
    apart = np.abs(a - b)[finite]
    most = np.abs(b[finite]).max()
    if apart.max() <= 1e-4 * max(most, 1e-2):
        return None
    if on_grid:
        # a step of a grid somewhere before: rare, and small against the range
        share = (apart > 1e-4 * max(most, 1e-2)).mean()
        if share <= max(1e-3, 1.0 / apart.size):
            return None
        return f"{100 * share:.2f}% of the values differ, the most by {apart.max():.4g}"
    return f"differs by {apart.max():.4g} of {most:.4g}"


def check(octet, job, result, on_grid):
    if "error" in result:
        return "skip"
    outputs, error = run_octet(octet, job, list(result["outputs"]))
    if error:
        return error
    for name, info in result["outputs"].items():
        expected = np.fromfile(info["file"], dtype=np.dtype(info["type"])).reshape(info["dims"])
        found = difference(outputs[name], expected, on_grid)
        if found:
            return f"{name}: {found}"
    return None


def shrink(octet, ort, graph, folder):
    """The first node whose result differs, with what leads to it."""
    names = [o for node in graph.nodes for o in node.output if o in graph.shapes]
    jobs = []
    for i, name in enumerate(names):
        model = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(graph.model(names)))
        part = model.extract_model([v.name for v in graph.inputs], [name])
        feeds = {v.name: graph.feeds[v.name] for v in part.graph.input}
        jobs.append(make_job(part, feeds, folder, f"part{i}"))
    for name, job, result in zip(names, jobs, run_ort(ort, jobs, folder)):
        found = check(octet, job, result, graph.quantized)
        if found not in (None, "skip"):
            return job, found
    return None, None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("octet")
    parser.add_argument("ort")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--keep", default="differential")
    parser.add_argument("--quantized", type=float, default=0.3)
    options = parser.parse_args()
    batch = 100
    counts = {"same": 0, "differ": 0, "skipped": 0, "rewritten": 0}
    for start in range(options.seed, options.seed + options.count, batch):
        with tempfile.TemporaryDirectory() as folder:
            seeds = range(start, min(start + batch, options.seed + options.count))
            graphs = {seed: generate(seed, options.quantized) for seed in seeds}
            jobs = [make_job(g.model(), g.feeds, folder, str(s)) for s, g in graphs.items()]
            results = run_ort(options.ort, jobs, folder)
            for (seed, graph), job, result in zip(graphs.items(), jobs, results):
                found = check(options.octet, job, result, graph.quantized)
                if found is None:
                    counts["same"] += 1
                elif found == "skip":
                    counts["skipped"] += 1
                    print(f"seed {seed}: ONNX Runtime: {result['error'][:150]}")
                elif not check(options.octet, job,
                               run_ort(options.ort, [dict(job, level="disabled")], folder)[0],
                               graph.quantized):
                    counts["rewritten"] += 1
                    print(f"seed {seed}: equal to the model as it stands, but ONNX Runtime's "
                          "optimizations change its numbers")
                else:
                    counts["differ"] += 1
                    kept = os.path.join(options.keep, str(seed))
                    part, why = shrink(options.octet, options.ort, graph, folder)
                    shutil.rmtree(kept, ignore_errors=True)
                    shutil.copytree((part or job)["folder"], kept)
                    print(f"seed {seed}: {found}; smallest part: {why}; kept in {kept}", flush=True)
    print(json.dumps(counts))
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
