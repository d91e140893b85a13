#!/usr/bin/python3
"""Compares Octet with PyTorch live: make parity.

1. The committed golden vectors are what the scripts still write.
2. Vectors from a new seed (printed; --seed repeats it) pass the same tests.
3. The octet command gives for observers and for models of one convolution what PyTorch gives.

Needs python3-torch and python3-onnx (Debian 12: PyTorch 1.13) and a build with tests.
"""
import argparse
import filecmp
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
ROOT = os.path.dirname(HERE)
TESTS = ["test_observers_golden", "test_quantize_golden", "test_requantize",
         "test_requantize_layers", "test_functional", "test_cli_golden"]
SCRIPTS = ["golden_observers.py", "golden_requantize.py", "golden_layers.py",
           "golden_functional.py", "golden_command.py"]
# how many cases of a new seed, where the committed vectors have fewer
MORE = {"golden_requantize.py": ["--layers=4000"], "golden_functional.py": ["--rounds=60"]}
failures = []


def report(name, good, detail=""):
    print("%-4s %s%s" % ("ok" if good else "FAIL", name, ": " + detail if detail else ""))
    if not good:
        failures.append(name)


def generate(folder, *options):
    for script in SCRIPTS:
        extra = [o for o in options if o.startswith("--seed")] + MORE.get(script, []) * bool(options)
        subprocess.run([sys.executable, os.path.join(HERE, script), folder, *extra], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def committed_vectors():
    with tempfile.TemporaryDirectory() as folder:
        generate(folder)
        for name in sorted(os.listdir(folder)):
            same = filecmp.cmp(os.path.join(folder, name),
                               os.path.join(ROOT, "tests", "golden", name), shallow=False)
            report("committed " + name, same)


def fresh_vectors(build, seed):
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, "--seed=%d" % seed)
        for test in TESTS:
            path = os.path.join(build, test)
            if not os.path.exists(path):
                report(test, False, "not built")
                continue
            result = subprocess.run([path], env=dict(os.environ, OCTET_GOLDEN=folder),
                                    capture_output=True, text=True)
            lines = [l for l in result.stdout.splitlines() if "differ" in l]
            report(test, result.returncode == 0, "; ".join(lines))


def observe_command(octet, seed, folder):
    """octet observe against torch, on files that stand for batches."""
    import numpy as np
    import torch
    from golden_observers import CLASSES
    rng = np.random.default_rng(seed)
    files, batches = [], []
    for i in range(3):
        batch = (rng.standard_normal((4, 5, 6)) * (1 + i)).astype(np.float32)
        files.append(os.path.join(folder, "%d.npy" % i))
        np.save(files[-1], batch)
        batches.append(torch.from_numpy(batch))
    tensor, channel = ("per_tensor_affine", "per_tensor_symmetric"), (
        "per_channel_affine", "per_channel_symmetric")
    plain = [(o, s, t, {}) for o in ("minmax", "moving-average", "histogram", "torch-histogram")
             for s in tensor for t in ("quint8", "qint8")]
    plain += [(o, s, t, {"ch_axis": 1}) for o in ("per-channel-minmax", "moving-average-per-channel")
              for s in channel for t in ("quint8", "qint8")]
    special = [("minmax", tensor[0], "quint8", {"reduce_range": True}),
               ("minmax", tensor[1], "qint32", {}),
               ("minmax", tensor[1], "qint8", {"quant_min": -127, "quant_max": 127}),
               ("minmax", tensor[0], "quint8", {"eps": 0.25}),
               ("moving-average", tensor[0], "quint8", {"averaging_constant": 0.25}),
               ("per-channel-minmax", channel[0], "qint8", {"ch_axis": 2, "reduce_range": True}),
               ("histogram", tensor[0], "quint8", {"bins": 512, "reduce_range": True}),
               ("torch-histogram", tensor[0], "quint8", {"bins": 100, "upsample_rate": 16})]
    for name, scheme, dtype, options in plain + special:
        observer = CLASSES[name](dtype=getattr(torch, dtype), qscheme=getattr(torch, scheme),
                                 **options)
        # octet's histogram is torch's over all the data at once
        for batch in [torch.cat(batches)] if name == "histogram" else batches:
            observer(batch)
        scale, zero_point = observer.calculate_qparams()
        words = ["--%s=%s" % (k.replace("ch_", "").replace("_", "-"), v) if v is not True
                 else "--" + k.replace("_", "-") for k, v in options.items()]
        command = [octet, "observe", "--observer", name, "--dtype", dtype, "--qscheme", scheme]
        result = subprocess.run(command + words + files, capture_output=True, text=True)
        label = " ".join(["octet observe", name, dtype, scheme] + words)
        if result.returncode != 0:
            report(label, False, result.stderr.strip())
            continue
        found = json.loads(result.stdout)
        same = np.array_equal(np.float32(np.atleast_1d(found["scale"])), scale.numpy()) \
            and np.array_equal(np.atleast_1d(found["zero_point"]), zero_point.numpy())
        report(label, same)


# name, torch's engine, --requantize, activations in [0, 127], weights per channel
QCONFIGS = [("qnnpack", "qnnpack", "qnnpack", False, False),
            ("onednn", "onednn", "fbgemm", False, True), ("fbgemm", "onednn", "fbgemm", True, True)]


def convolution(octet, seed, folder, number):
    """A model of one convolution: quantized by octet with one of PyTorch's qconfigs and minmax
    activations, run in the mode of that name, against torch's bytes. (fbgemm's with oneDNN.)"""
    import numpy as np
    import onnx
    import torch
    import torch.ao.quantization as tq
    from onnx import TensorProto, helper, numpy_helper
    qconfig, engine, mode, reduced, per_channel = QCONFIGS[number % len(QCONFIGS)]
    torch.backends.quantized.engine = engine
    rng = np.random.default_rng(seed + number)
    groups = int(rng.choice([1, 1, 2]))
    inputs, outputs = groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 5))
    kernel, stride, pad = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(0, 2))
    weight = rng.standard_normal((outputs, inputs // groups, kernel, kernel)).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    data = rng.standard_normal((8, inputs, 9, 8)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=groups, strides=[stride] * 2,
                            pads=[pad] * 4)
    graph = helper.make_graph(
        [node], "one", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", inputs, 9, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs, None, None])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    paths = {k: os.path.join(folder, "%d.%s" % (number, k)) for k in ("onnx", "q.onnx", "npy", "y.npy")}
    onnx.save(model, paths["onnx"])
    np.save(paths["npy"], data)
    run = [[octet, "quantize", paths["onnx"], "--calib", paths["npy"], "--qconfig", qconfig,
            "--observer", "minmax", "--output", paths["q.onnx"]],
           [octet, "run", paths["q.onnx"], "--requantize", mode, "--int-repr", "--input",
            paths["npy"], "--output", paths["y.npy"]]]
    label = "%s convolution %d" % (qconfig, number)
    for command in run:
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            report(label, False, result.stderr.strip())
            return
    layer = torch.nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups)
    layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    wrapped = tq.QuantWrapper(layer).eval()
    wrapped.qconfig = tq.QConfig(
        activation=tq.MinMaxObserver.with_args(reduce_range=reduced),
        weight=tq.default_per_channel_weight_observer if per_channel else tq.default_weight_observer)
    tq.prepare(wrapped, inplace=True)
    with torch.no_grad():
        for sample in data:
            wrapped(torch.from_numpy(sample[None]))
        tq.convert(wrapped, inplace=True)
        # the range of the output comes from a float convolution, whose last bit depends on the order
        # in which torch sums; the bytes are compared on the same grid
        own = {i.name: numpy_helper.to_array(i) for i in onnx.load(paths["q.onnx"]).graph.initializer}
        moved = abs(wrapped.module.scale / float(own["y_scale"]) - 1)
        same_grid = moved < 2.0 ** -20 and wrapped.module.zero_point == int(own["y_zero_point"])
        wrapped.module.scale = float(own["y_scale"])
        expected = wrapped.module(wrapped.quant(torch.from_numpy(data))).int_repr().numpy()
    found = np.load(paths["y.npy"])
    different = int((found.reshape(-1).astype(int) != expected.reshape(-1).astype(int)).sum()) \
        if found.size == expected.size else -1
    report(label, different == 0 and same_grid, "%d of %d bytes differ%s" % (
        different, expected.size, "" if moved == 0 else ", the output's scales by %.1g" % moved))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet", help="the command, in the build folder that has the tests")
    parser.add_argument("--seed", type=int, default=random.randrange(2 ** 31))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    print("seed %d" % arguments.seed)
    committed_vectors()
    fresh_vectors(os.path.dirname(os.path.abspath(arguments.octet)), arguments.seed)
    if os.path.exists(arguments.octet):
        with tempfile.TemporaryDirectory() as folder:
            octet = os.path.abspath(arguments.octet)
            observe_command(octet, arguments.seed, folder)
            for number in range(30):
                convolution(octet, arguments.seed, folder, number)
    else:
        print("skipped: the comparisons of the command, %s is not built" % arguments.octet)
    print("%d failed" % len(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
