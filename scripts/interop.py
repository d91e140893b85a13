#!/usr/bin/env python3
"""Whether what Octet writes is what others read: for each set of options the model is quantized twice
(the same bytes), passes ONNX's checker with full shape inference and strict types, keeps the names of
inputs, outputs and nodes, and has in ONNX Runtime, at every optimization level, Octet's top-1. How
often those levels have the same top-1 among themselves is printed, too.

  scripts/interop.py MODEL.onnx CALIB.npy SAMPLES.npy NODE_MODULES [--octet build/octet] [--count 100]

The arrays hold what the model takes, samples along the first axis. Needs onnx, numpy and npm's
onnxruntime-node in the folder NODE_MODULES."""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx.checker
import onnx.numpy_helper
import onnx.shape_inference

LEVELS = ["disabled", "basic", "extended", "all"]
HERE = os.path.dirname(os.path.abspath(__file__))


def option_sets(layer):
    return [
        "",
        "--per-tensor",
        "--activation-type s8",
        "--symmetric",
        "--activation-type s8 --symmetric",
        "--power-of-two",
        "--power-of-two --per-tensor --activation-type s8 --symmetric",
        "--int16 " + layer,
        "--int16 " + layer + " --int16-domain com.microsoft",
        "--io int8",
        "--io int8 --activation-type s8",
        "--io uint8",
        "--io uint8 --activation-type s8",
        "--bias-type float32",
        "--format qoperator",
        "--format qoperator --activation-type s8",
        "--format qoperator --io int8",
        "--format qoperator --io uint8 --activation-type s8",
        "--qconfig fbgemm",
        "--qconfig qnnpack",
    ]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else command[0])
    return done.stdout


def check_names(before, after):
    """Names of inputs, outputs and compute nodes, and the metadata of the float model."""
    for kind in ("input", "output"):
        constants = {t.name for t in before.graph.initializer}
        a = [v.name for v in getattr(before.graph, kind) if v.name not in constants]
        b = [v.name for v in getattr(after.graph, kind)]
        if a != b:
            raise RuntimeError(f"{kind}s {a} became {b}")
    # a node that became part of another one is named in that one's documentation
    types = ("Conv", "Gemm", "Add", "Relu", "Clip", "BatchNormalization", "Pad")
    layers = {n.name for n in before.graph.node if n.op_type in types}
    lost = layers - {n.name for n in after.graph.node}
    lost = {name for name in lost
            if not any(f" '{name}'" in n.doc_string for n in after.graph.node)}
    if lost:
        raise RuntimeError(f"layers without their name: {sorted(lost)[:3]}")
    kept = {(p.key, p.value) for p in after.metadata_props}
    missing = {(p.key, p.value) for p in before.metadata_props} - kept
    if missing:
        raise RuntimeError(f"metadata is lost: {missing}")


def check_file(path):
    model = onnx.load(path)
    opset = {o.domain: o.version for o in model.opset_import}[""]
    if opset > onnx.defs.onnx_opset_version():
        # ONNX Runtime knows the schemas of later ones, and infers shapes strictly
        run("node", os.path.join(HERE, "../bench/ort_run.mjs"), path, "--check")
        return model, f"checked by ONNX Runtime (opset {opset})"
    onnx.checker.check_model(path, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    return model, f"checked (opset {opset})"


def to_integers(samples, model):
    """What the integer input of the file stands for: its first DequantizeLinear's grid."""
    name = model.graph.input[0].name
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if name in node.input:
            scale, zero = constants[node.input[1]], constants[node.input[2]]
            limits = np.iinfo(zero.dtype)
            q = np.rint(samples / scale) + zero.astype(np.float64)
            return np.clip(q, limits.min, limits.max).astype(zero.dtype)
    raise RuntimeError("nothing reads the input")


def one(arguments, options, folder, samples, original):
    paths = [os.path.join(folder, name) for name in ("a.onnx", "b.onnx")]
    for path in paths:
        run(arguments.octet, "quantize", arguments.model, "--calib", arguments.calib,
            "--preprocess", "raw", "--output", path, "--quiet", *options.split())
    first, second = (open(path, "rb").read() for path in paths)
    if first != second:
        raise RuntimeError("two runs gave different bytes")
    model, note = check_file(paths[0])
    check_names(original, model)
    x = os.path.join(folder, "x.npy")
    y = os.path.join(folder, "y.npy")
    np.save(x, samples)
    # real numbers either way: octet run itself takes them to the grid of an integer input
    run(arguments.octet, "run", paths[0], "--input", x, "--preprocess", "raw", "--output", y)
    if "--io" in options:
        np.save(x, to_integers(samples, model))
    count = len(samples)
    mine = np.load(y).reshape(count, -1)
    theirs = []
    for level in LEVELS:
        run("node", os.path.join(HERE, "../bench/ort_run.mjs"), paths[0], x, y, "--level", level)
        theirs.append(np.load(y).reshape(count, -1).argmax(1))
    same = [np.mean(classes == mine.argmax(1)) for classes in theirs]
    itself = np.mean([len(set(classes)) == 1 for classes in zip(*theirs)])
    return note, mine.argmax(1), same, itself


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "calib", "samples", "node_modules"):
        parser.add_argument(name)
    parser.add_argument("--octet", default=os.path.join(HERE, "../build/octet"))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--only", default="", help="only the option sets that contain this")
    parser.add_argument("--labels", help="a class a line, to print the top-1 as well")
    arguments = parser.parse_args()
    os.environ["ORT_NODE_MODULES"] = os.path.abspath(arguments.node_modules)
    samples = np.load(arguments.samples)[:arguments.count]
    labels = np.loadtxt(arguments.labels, dtype=int)[:arguments.count] if arguments.labels else None
    original = onnx.load(arguments.model)
    layer = [n.name for n in original.graph.node if n.op_type == "Conv"][1]
    failures = 0
    sets = [options for options in option_sets(layer) if arguments.only in options]
    for options in sets:
        with tempfile.TemporaryDirectory() as folder:
            try:
                note, classes, same, itself = one(arguments, options, folder, samples, original)
            except Exception as error:  # pylint: disable=broad-except
                print(f"{options or '(default)':62s} FAILED: {error}")
                failures += 1
                continue
        top1 = "" if labels is None else f" top-1 {np.mean(classes == labels):.3f}"
        print(f"{options or '(default)':62s} {note};{top1} same as ONNX Runtime "
              + " ".join(f"{level} {share:.3f}" for level, share in zip(LEVELS, same))
              + f", its levels among themselves {itself:.3f}", flush=True)
        failures += min(same) < 1
    print(f"{failures} of {len(sets)} option sets differ or fail")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
