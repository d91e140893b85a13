"""More families of nodes for differential.py: each adds what it can to a graph, or returns False.

Steps (rounding, comparing, indexing by values) are taken of the graph's inputs alone, which are the
same bits everywhere; of computed values the last bit may decide.
"""
import numpy as np
from onnx import TensorProto, helper


def given(g, accept=lambda shape: True):
    """A graph input."""
    fitting = [n for n in g.feeds if accept(g.shapes[n])]
    return g.rng.choice(fitting) if fitting else None


def real(g, x, shape):
    """Floats of integers or truths, for other nodes to use."""
    return g.node("Cast", [x], shape, to=TensorProto.FLOAT)


def bounded_unary(g):
    x = g.pick()
    kind, factor = g.rng.choice([("Acos", 0.9), ("Asin", 0.9), ("Atanh", 0.9), ("Sinh", 2.0),
                                 ("Cosh", 2.0), ("Tan", 1.2)])
    small = g.node("Mul", [g.node("Tanh", [x]), g.constant(np.float32(factor))])
    g.node(kind, [small], g.shapes[x])


def acosh(g):
    x = g.pick()
    g.node("Acosh", [g.node("Add", [g.node("Abs", [x]), g.constant(np.float32(1.1))])],
           g.shapes[x])


def step(g):
    x = given(g)
    kind, since, attributes = g.rng.choice([
        ("Floor", 6, {}), ("Ceil", 6, {}), ("Round", 11, {}), ("Sign", 9, {}),
        ("ThresholdedRelu", 10, {"alpha": 0.3}), ("Shrink", 9, {"lambd": 0.4, "bias": 0.1}),
        ("Hardmax", 1, {"axis": len(g.shapes[x]) - 1})])
    if g.opset < since:
        return False
    g.node(kind, [x], g.shapes[x], **attributes)


def logic(g):
    x = given(g)
    shape = g.shapes[x]
    a = g.node("Greater", [x, g.constant(g.floats([1]))])
    b = g.node("Less", [x, g.constant(g.floats([shape[-1]]))])
    kind = g.rng.choice(["And", "Or", "Xor", "Equal"])
    if kind == "Equal" and g.opset < 11:
        return False
    real(g, g.node(kind, [a, b]), shape)


def odd_floats(g):
    x = given(g)
    if g.opset < 10:
        return False
    inverse = g.node("Div", [g.constant(np.float32(1)), g.node("Relu", [x])])
    real(g, g.node(g.rng.choice(["IsInf", "IsNaN"]), [inverse]), g.shapes[x])


def bits(g):
    x = given(g)
    shape = g.shapes[x]
    shift = g.opset >= 11 and g.rng.random() < 0.5
    if not shift and g.opset < 18:
        return False
    scaled = g.node("Abs", [g.node("Mul", [x, g.constant(np.float32(40))])])
    n = g.node("Cast", [scaled], to=TensorProto.UINT8 if shift else TensorProto.INT32)
    if shift:
        amount = g.constant(g.numbers.integers(0, 8, shape[-1:]).astype(np.uint8))
        y = g.node("BitShift", [n, amount], direction=g.rng.choice(["LEFT", "RIGHT"]))
    elif g.rng.random() < 0.3:
        y = g.node("BitwiseNot", [n])
    else:
        other = g.constant(g.numbers.integers(-99, 99, shape[-1:]).astype(np.int32))
        y = g.node(g.rng.choice(["BitwiseAnd", "BitwiseOr", "BitwiseXor"]), [n, other])
    real(g, y, shape)


def modulo(g):
    x = given(g)
    if g.opset < 10:
        return False
    if g.rng.random() < 0.5:
        g.node("Mod", [x, g.constant(np.float32(0.7))], g.shapes[x], fmod=1)
        return
    n = g.node("Cast", [g.node("Mul", [x, g.constant(np.float32(20))])], to=TensorProto.INT64)
    real(g, g.node("Mod", [n, g.constant(np.int64(g.rng.choice([-7, 3, 5])))]), g.shapes[x])


def triangle(g):
    x = g.pick(lambda s: len(s) >= 2)
    if not x or g.opset < 14:
        return False
    k = g.constant(np.int64(g.rng.randint(-2, 2)))
    g.node("Trilu", [x, k], g.shapes[x], upper=g.rng.randint(0, 1))


def norms(g):
    x = g.pick(lambda s: len(s) == 4)
    if not x:
        return False
    shape = g.shapes[x]
    kind = g.rng.choice(["LpNormalization", "GlobalLpPool", "LpPool", "MeanVarianceNormalization"])
    if kind == "LpNormalization":
        # far from zero, where a small sum would make noise
        x = g.node("Add", [g.node("Abs", [x]), g.constant(np.float32(0.5))])
        g.node(kind, [x], shape, axis=g.rng.randrange(4), p=g.rng.choice([1, 2]))
    elif kind == "GlobalLpPool":
        if g.opset >= 22:  # ONNX Runtime 1.30 has none of that version
            return False
        g.node(kind, [x], shape[:2] + (1, 1), p=g.rng.choice([1, 2, 3]))
    elif kind == "LpPool":
        if min(shape[2:]) < 3 or g.opset < 11:
            return False
        g.node(kind, [x], (*shape[:2], shape[2] - 1, shape[3] - 1), kernel_shape=[2, 2],
               p=g.rng.choice([1, 2]))
    else:
        if shape[0] * shape[2] * shape[3] < 8 or g.opset < 9:
            return False
        # what is constant in a channel is 0 / 0 or not by its last bit: so it never is
        uneven = g.constant(g.floats(shape))
        g.node(kind, [g.node("Add", [g.node("Tanh", [x]), uneven])], shape)


def arg(g):
    x = given(g)
    shape = list(g.shapes[x])
    axis = g.rng.randrange(len(shape))
    keep = g.rng.randint(0, 1)
    attributes = {"select_last_index": g.rng.randint(0, 1)} if g.opset >= 12 else {}
    y = g.node(g.rng.choice(["ArgMax", "ArgMin"]), [x], axis=axis, keepdims=keep, **attributes)
    real(g, y, [1 if i == axis else d for i, d in enumerate(shape) if keep or i != axis])


def einsum(g):
    x = g.pick(lambda s: len(s) in (2, 3, 4))
    if not x or g.opset < 12:
        return False
    shape = g.shapes[x]
    letters = "abcd"[:len(shape)]
    kind = g.rng.choice(["turn", "sum", "product", "outer"])
    if kind == "turn":
        order = g.rng.sample(range(len(shape)), len(shape))
        g.node("Einsum", [x], [shape[i] for i in order],
               equation=f"{letters}->{''.join(letters[i] for i in order)}")
    elif kind == "sum":
        keep = sorted(g.rng.sample(range(len(shape)), g.rng.randint(1, len(shape) - 1)))
        g.node("Einsum", [x], [shape[i] for i in keep],
               equation=f"{letters}->{''.join(letters[i] for i in keep)}")
    elif kind == "product":
        w = g.constant(g.floats([shape[-1], 3], 1 / np.sqrt(shape[-1])))
        g.node("Einsum", [x, w], (*shape[:-1], 3), equation=f"{letters},{letters[-1]}z->{letters[:-1]}z")
    else:
        if len(shape) != 2:
            return False
        w = g.constant(g.floats([2]))
        g.node("Einsum", [x, w], (*shape, 2), equation="ab,z->abz")


def reduce_more(g):
    x = g.pick(lambda s: len(s) >= 1 and np.prod(s) <= 400)
    if not x:
        return False
    shape = list(g.shapes[x])
    axis = g.rng.randrange(len(shape))
    keep = g.rng.randint(0, 1)
    kind = g.rng.choice(["ReduceProd", "ReduceLogSum"])
    if kind == "ReduceProd":
        x = g.node("Tanh", [x])
    else:
        x = g.node("Add", [g.node("Abs", [x]), g.constant(np.float32(0.5))])
    result = [1 if i == axis else d for i, d in enumerate(shape) if keep or i != axis]
    g.listed(kind, x, "axes", [axis], 18, result, keepdims=keep)


def gather_more(g):
    x = g.pick(lambda s: len(s) >= 1)
    if not x or g.opset < 12:
        return False
    shape = g.shapes[x]
    kind = g.rng.choice(["GatherElements", "GatherND", "ScatterND", "Compress", "ReverseSequence"])
    axis = g.rng.randrange(len(shape))
    if kind == "GatherElements":
        part = [g.rng.randint(1, d) for d in shape]
        part[axis] = g.rng.randint(1, 2 * shape[axis])
        indices = g.numbers.integers(-shape[axis], shape[axis], part)
        g.node(kind, [x, g.constant(indices, "i")], part, axis=axis)
    elif kind == "GatherND":
        depth = g.rng.randint(1, len(shape))
        count = g.rng.randint(1, 4)
        indices = np.stack([g.numbers.integers(-d, d, count) for d in shape[:depth]], -1)
        g.node(kind, [x, g.constant(indices, "i")], (count, *shape[depth:]))
    elif kind == "ScatterND":
        count = g.rng.randint(1, shape[0])
        indices = g.numbers.permutation(shape[0])[:count, None].astype(np.int64)
        g.node(kind, [x, g.constant(indices, "i"), g.constant(g.floats((count, *shape[1:])))],
               shape)
    elif kind == "Compress":
        mask = g.numbers.random(shape[axis]) < 0.6
        mask[0] = True
        g.node(kind, [x, g.constant(mask)],
               [int(mask.sum()) if i == axis else d for i, d in enumerate(shape)], axis=axis)
    else:
        if len(shape) < 2:
            return False
        lengths = g.numbers.integers(1, shape[0] + 1, shape[1]).astype(np.int64)
        g.node(kind, [x, g.constant(lengths)], shape, batch_axis=1, time_axis=0)


def one_hot(g):
    x = given(g, lambda s: len(s) <= 4)
    if not x or g.opset < 11:
        return False
    n = g.node("Cast", [g.node("Mul", [x, g.constant(np.float32(3))])], to=TensorProto.INT64)
    g.node("OneHot", [n, g.constant(np.int64(5)), g.constant(np.array([-0.5, 2], np.float32))],
           (*g.shapes[x], 5), axis=-1)


def unique_places(g):
    """What depends on data, put where its size is known again."""
    x = given(g)
    if g.opset < 13:
        return False
    kind = g.rng.choice(["NonZero", "Unique"])
    relu = g.node("Relu", [x])
    if kind == "NonZero":
        y = g.node("Cast", [g.node("NonZero", [relu])], to=TensorProto.FLOAT)
        g.node("ReduceSum", [y, g.ints([1])], (len(g.shapes[x]),), keepdims=0)
    else:
        y = g.node("Unique", [relu], sorted=1)
        g.node("ReduceSum", [y, g.ints([0])], (), keepdims=0)


def fills(g):
    x = g.pick(lambda s: len(s) >= 1 and s[-1] <= 64)
    if not x or g.opset < 11:
        return False
    shape = g.shapes[x]
    kind = g.rng.choice(["Range", "ConstantOfShape", "EyeLike", "Size", "CastLike", "Dropout"])
    if kind == "Range":
        last = g.node("Gather", [g.node("Shape", [x]), g.constant(np.int64(-1))])
        places = g.node("Range", [g.constant(np.int64(0)), last, g.constant(np.int64(1))])
        g.node("Add", [x, g.node("Cast", [places], to=TensorProto.FLOAT)], shape)
    elif kind == "ConstantOfShape":
        value = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.75])
        g.node("Mul", [x, g.node(kind, [g.node("Shape", [x])], value=value)], shape)
    elif kind == "EyeLike":
        if len(shape) != 2:
            return False
        g.node("Add", [x, g.node(kind, [x], k=g.rng.randint(-1, 1))], shape)
    elif kind == "Size":
        size = g.node("Cast", [g.node(kind, [x])], to=TensorProto.FLOAT)
        g.node("Div", [x, size], shape)
    elif kind == "CastLike":
        if g.opset < 15:
            return False
        n = g.node("Cast", [g.constant(g.floats([1], 9))], to=TensorProto.INT32)
        g.node("Sub", [x, g.node(kind, [n, x])], shape)
    else:
        g.node(kind, [x], shape)


def determinant(g):
    x = g.pick(lambda s: len(s) >= 2 and s[-1] == s[-2] and s[-1] <= 4)
    if not x or g.opset < 11:
        return False
    g.node("Det", [g.node("Tanh", [x])], g.shapes[x][:-2])


def recurrent(g):
    x = g.pick(lambda s: len(s) == 3 and np.prod(s) < 2000, real=True)
    if not x or g.opset < 14:
        return False
    steps, batch, inputs = g.shapes[x]
    kind, gates = g.rng.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
    hidden = g.rng.randint(1, 6)
    both = g.rng.randint(1, 2)
    parts = [g.node("Tanh", [x]), g.constant(g.floats([both, gates * hidden, inputs], 0.4), "w"),
             g.constant(g.floats([both, gates * hidden, hidden], 0.4), "r")]
    if g.rng.random() < 0.6:
        parts.append(g.constant(g.floats([both, 2 * gates * hidden], 0.3), "b"))
    attributes = {"linear_before_reset": g.rng.randint(0, 1)} if kind == "GRU" else {}
    g.node(kind, parts, (steps, both, batch, hidden), hidden_size=hidden,
           direction="bidirectional" if both == 2 else g.rng.choice(["forward", "reverse"]),
           **attributes)


def branch(g):
    x = g.pick()
    shape = g.shapes[x]
    condition = given(g)
    if g.opset < 13:
        return False
    total = g.node("ReduceSum", [condition], keepdims=0)
    truth = g.node("Greater", [total, g.constant(np.float32(0.1))])
    bodies = {}
    for name, kind in (("then_branch", "Tanh"), ("else_branch", "Neg")):
        out = g.name("s")
        bodies[name] = helper.make_graph(
            [helper.make_node(kind, [x], [out])], name, [],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)])
    g.used.add(x)
    g.node("If", [truth], shape, **bodies)


def loop(g):
    x = g.pick()
    shape = g.shapes[x]
    if g.opset < 13:
        return False
    i, c, before, after, more = (g.name("l") for _ in range(5))
    half = helper.make_tensor(g.name("h"), TensorProto.FLOAT, [], [0.5])
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Mul", [before, half.name], [after]),
         helper.make_node("Identity", [c], [more])], "body",
        [info(i, TensorProto.INT64, []), info(c, TensorProto.BOOL, []),
         info(before, TensorProto.FLOAT, None)],
        [info(more, TensorProto.BOOL, []), info(after, TensorProto.FLOAT, None)], [half])
    g.node("Loop", [g.constant(np.int64(g.rng.randint(0, 3))), g.constant(np.bool_(True)), x],
           shape, body=body)


def scan(g):
    x = g.pick(lambda s: len(s) >= 2)
    if not x or g.opset < 13:
        return False
    shape = g.shapes[x]
    before, part, after, out = (g.name("l") for _ in range(4))
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", [before, part], [after]),
         helper.make_node("Tanh", [after], [out])], "body",
        [info(before, TensorProto.FLOAT, shape[1:]), info(part, TensorProto.FLOAT, shape[1:])],
        [info(after, TensorProto.FLOAT, shape[1:]), info(out, TensorProto.FLOAT, shape[1:])])
    start = g.constant(g.floats(shape[1:]))
    _, all_steps = g.node("Scan", [start, x], outputs=2, body=body, num_scan_inputs=1)
    g.shapes[all_steps] = tuple(shape)


def regions(g):
    x = g.pick(lambda s: len(s) == 4 and min(s[2:]) >= 3)
    if not x or not 10 <= g.opset <= 21:
        return False
    n, c, h, w = g.shapes[x]
    count = g.rng.randint(1, 3)
    low = g.numbers.uniform(0, [w / 2, h / 2], (count, 2))
    high = low + g.numbers.uniform(1, [w / 2, h / 2], (count, 2))
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    batch = g.numbers.integers(0, n, count)
    size = [g.rng.randint(1, 3), g.rng.randint(1, 3)]
    if g.rng.random() < 0.3:
        rois = np.concatenate([batch[:, None], np.rint(boxes)], 1).astype(np.float32)
        g.node("MaxRoiPool", [x, g.constant(rois)], (count, c, *size), pooled_shape=size)
        return
    g.node("RoiAlign", [x, g.constant(boxes), g.constant(batch.astype(np.int64))],
           (count, c, *size), output_height=size[0], output_width=size[1],
           sampling_ratio=g.rng.randint(0, 2))


def signal(g):
    x = g.pick(lambda s: len(s) == 3 and s[1] >= 4)
    if not x or g.opset < 17 or g.opset > 19:
        return False
    n, length, width = g.shapes[x]
    if g.rng.random() < 0.5:
        window = g.node(g.rng.choice(["HannWindow", "HammingWindow", "BlackmanWindow"]),
                        [g.constant(np.int64(length))])
        column = g.node("Reshape", [window, g.ints([length, 1])])
        g.node("Mul", [x, column], (n, length, width))
        return
    flat = g.node("Slice", [x, g.ints([0]), g.ints([1]), g.ints([2])])
    g.node("DFT", [flat], (n, length, 2), axis=1)


def windows_back(g):
    x = g.pick(lambda s: len(s) == 3 and s[1] % 4 == 0 and s[2] == 4)
    if not x or g.opset < 18:
        return False
    n, c, _ = g.shapes[x]
    g.node("Col2Im", [x, g.ints([3, 3]), g.ints([2, 2])], (n, c // 4, 3, 3))


def unpool(g):
    x = given(g, lambda s: len(s) == 4 and s[2] % 2 == 0 and s[3] % 2 == 0)
    if not x or g.opset < 11 or g.opset > 21:
        return False
    values, places = g.node("MaxPool", [x], outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    g.node("MaxUnpool", [values, places], g.shapes[x], kernel_shape=[2, 2], strides=[2, 2])


def microsoft(g):
    x = g.pick(lambda s: len(s) >= 2 and s[-1] <= 64, real=True)
    if not x:
        return False
    shape = g.shapes[x]
    width = shape[-1]
    kind = g.rng.choice(["Gelu", "FastGelu", "QuickGelu", "BiasGelu", "FusedMatMul",
                         "SkipLayerNormalization", "FusedGemm"])
    domain = {"domain": "com.microsoft"}
    if kind in ("Gelu", "QuickGelu"):
        g.node(kind, [x], shape, **domain)
    elif kind in ("FastGelu", "BiasGelu"):
        g.node(kind, [x, g.constant(g.floats([width]))], shape, **domain)
    elif kind == "FusedMatMul":
        w = g.constant(g.floats([3, width], 1 / np.sqrt(width)))
        g.node(kind, [x, w], (*shape[:-1], 3), transB=1, alpha=0.5, **domain)
    elif kind == "FusedGemm":
        if len(shape) != 2:
            return False
        w = g.constant(g.floats([width, 3], 1 / np.sqrt(width)))
        g.node(kind, [x, w, g.constant(g.floats([3]))], (shape[0], 3), activation="Relu", **domain)
    else:
        if len(shape) != 3 or width < 4:
            return False
        skip = g.constant(g.floats(shape))
        g.node(kind, [x, skip, g.constant(g.floats([width])), g.constant(g.floats([width]))],
               shape, epsilon=0.01, **domain)


def optional(g):
    x = g.pick()
    if g.opset < 15:
        return False
    wrapped = g.node("Optional", [x])
    g.node("OptionalGetElement", [wrapped], g.shapes[x])


def float8(g):
    x = given(g)
    if g.opset < 19:
        return False
    shape, dtype = g.shapes[x], g.rng.choice([17, 18, 19, 20])
    if g.rng.random() < 0.5:
        real(g, g.node("Cast", [x], to=dtype), shape)
        return None
    zero = TensorProto(name=g.name("z"), data_type=dtype, raw_data=bytes(1))
    g.constants.append(zero)
    grid = [g.constant(np.float32(g.rng.choice([0.002, 0.01, 0.3]))), zero.name]
    y = g.node("DequantizeLinear", [g.node("QuantizeLinear", [x, *grid]), *grid])
    # a barrier: ONNX Runtime 1.30 moves Slice and Reshape between the two, and has no such forms
    g.node("Neg", [y], shape)


MORE = [bounded_unary, acosh, step, logic, odd_floats, bits, modulo, triangle, norms, arg, einsum,
        reduce_more, gather_more, gather_more, one_hot, unique_places, fills, fills, determinant,
        recurrent, recurrent, branch, loop, scan, regions, signal, windows_back, unpool, microsoft,
        microsoft, optional, float8]
