#!/usr/bin/python3
"""Runs ONNX's own operator tests and writes docs/operators.md.

usage: conformance.py OCTET [--cases FOLDER] [--published VERSION FOLDER]

OCTET is the command (build/octet); the cases are written to FOLDER (default: a temporary one) by
dump_onnx_cases.py. Prints a table by operator. With --published, a later ONNX's own cases are run,
too: FOLDER is onnx/backend/test/data/node of that version's source (1.17 is the last one with
opset 22 as its newest).
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import onnx
from onnx import defs

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "docs", "operators.md")

# why a case does not pass, by the beginning of its name (the longest that fits)
REASONS = {
    "test_adagrad": "training",
    "test_adam": "training",
    "test_momentum": "training",
    "test_nesterov": "training",
    "test_batchnorm": "training",
    "test_training_dropout": "training",
    "test_bernoulli": "random: the numbers of another generator are expected",
    "test_strnormalizer": "strings",
    "test_cast_": "strings",
    "test_castlike_": "strings",
    "test_cast_FLOAT_to_BFLOAT16": "bfloat16 is computed in f32, so the cast keeps its precision",
    "test_castlike_BFLOAT16": "the case gives a tensor that is not of the shape that its model says",
    "test_castlike_FLOAT_to_BFLOAT16": "the case gives a tensor that is not of the shape that its "
    "model says",
    "test_resize_downsample_scales": "the case expects coordinates that later versions of ONNX "
    "correct; Octet agrees with ONNX Runtime",
}

# and of those in a later ONNX's cases
PUBLISHED_REASONS = {
    "test_ai_onnx_ml": "classical models (ai.onnx.ml)",
    "test_image_decoder": "image decoding",
    "test_string": "strings",
    "test_regex": "strings",
    "test_equal_string": "strings",
    "test_cast_BFLOAT16_to_FLOAT": "the case gives bfloat16 as u16",
    "test_cast_FLOAT_to_BFLOAT16": "the case gives bfloat16 as u16",
    "test_castlike_BFLOAT16": "the case gives bfloat16 as u16",
    "test_castlike_FLOAT_to_BFLOAT16": "the case gives bfloat16 as u16",
    "test_averagepool_3d_dilations_large": "windows beyond the end in ceil mode: Octet agrees with "
    "ONNX Runtime to the bit",
    "test_dft_inverse": "where the exact result 0 is expected as 1.9e-7, Octet gives 0",
    "test_qlinearmatmul_": "the expected result wraps around instead of saturating",
}

# what opsets 18 to 22 added, which ONNX 1.12 does not know yet
LATER_OPERATORS = set("""AffineGrid BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im
DeformConv Gelu GroupNormalization ImageDecoder Mish RegexFullMatch StringConcat
StringSplit""".split())

NOTES = {
    "Cast": "8-bit floats too, no strings; f16, bf16 and f64 are held in f32",
    "CastLike": "as Cast",
    "DequantizeLinear": "4, 8, 16 and 32 bits and 8-bit floats, per tensor, axis or block",
    "QuantizeLinear": "4, 8 and 16 bits and 8-bit floats, per tensor, axis or block",
    "Scan": "no lengths of sequences in opset 8",
    "Attention": "with masks, past and present; no rotation",
    "MultiHeadAttention": "with masks, past and present; no packed inputs",
    "FusedMatMul": "no transBatchA, transBatchB",
    "BatchNormalization": "inference mode",
    "Dropout": "passes its input on",
    "TfIdfVectorizer": "integers, no strings",
    "Constant": "no strings, no sparse tensors",
    "DFT": "not the inverse of one side only",
    "RandomNormal": "own generator, the same numbers on every machine",
    "RandomNormalLike": "as RandomNormal",
    "RandomUniform": "as RandomNormal",
    "RandomUniformLike": "as RandomNormal",
    "Bernoulli": "as RandomNormal",
    "Multinomial": "as RandomNormal",
}


def reason_of(name, outcome, published=False):
    if outcome["result"] == "passed":
        return None
    reasons = {**REASONS, **PUBLISHED_REASONS} if published else REASONS
    fitting = [start for start in reasons if name.startswith(start)]
    return reasons[max(fitting, key=len)] if fitting else outcome["reason"].split(": ", 1)[-1]


def operator_of(folder):
    """The operator that a case is about: its model's only one, or the one that was expanded."""
    model = onnx.load(os.path.join(folder, "model.onnx"))
    kinds = [node.op_type for node in model.graph.node]
    if len(kinds) == 1:
        return kinds[0]
    plain = folder.split("_expanded")[0]
    if plain != folder and os.path.isdir(plain):
        return operator_of(plain)
    return kinds[-1]


def opsets(entries):
    parts = []
    for entry in sorted(entries, key=lambda e: e["since"]):
        last = entry["until"] if entry["until"] else ""
        if parts and parts[-1][1] == entry["since"] - 1:
            parts[-1][1] = last
        else:
            parts.append([entry["since"], last])
    texts = []
    for first, last in parts:
        texts.append(f"{first} on" if last == "" else f"{first} to {last}")
    return ", ".join(texts)


def by_operator(results):
    table = collections.defaultdict(lambda: collections.Counter())
    for outcome in results["cases"]:
        table[operator_of(outcome["case"])][outcome["result"]] += 1
    return table


def summary(results, published=False):
    """One line: how many of the cases pass that are about inference on numbers."""
    reasons = [reason_of(os.path.basename(o["case"]), o, published) for o in results["cases"]]
    others = ["training", "strings"]
    others += ["image decoding", "classical models (ai.onnx.ml)"] if published else []
    counts = [(reasons.count(other), other) for other in others]
    passed, about = reasons.count(None), len(reasons) - sum(n for n, _ in counts)
    rest = ", ".join(f"{n} about {other}" for n, other in counts)
    return (f"{passed} of {about} cases pass ({100 * passed / about:.1f}%) that are about inference "
            f"on numbers; of the others, {rest}.")


def operator_rows(operators, table):
    named = collections.defaultdict(list)
    for entry in operators:
        named[(entry["domain"], entry["name"])].append(entry)
    for (domain, name), entries in sorted(named.items()):
        counts = table.get(name, {}) if domain == "" else {}
        total = sum(counts.values())
        cases = f"{counts.get('passed', 0)} of {total}" if total else ""
        int8 = "yes" if any(e["int8"] for e in entries) else ""
        yield domain, name, opsets(entries), int8, cases, NOTES.get(name, "")


def missing_operators(operators):
    have = {e["name"] for e in operators if e["domain"] == ""}
    known = {s.name for s in defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    return sorted((known | LATER_OPERATORS) - have)


def write_failures(page, results, published):
    page.write("| case | result | why |\n|---|---|---|\n")
    for outcome in results["cases"]:
        name = os.path.basename(outcome["case"])
        why = reason_of(name, outcome, published)
        if why:
            page.write(f"| {name} | {outcome['result']} | {why} |\n")


def write_page(operators, results, table, version, published):
    with open(PAGE, "w") as page:
        page.write(
            "# Operators\n\n"
            "Made by `make conformance` from the code's own table (`octet operators`) and a run "
            f"of the operator tests of ONNX {onnx.__version__} (`octet test`). Custom operators can "
            "be added: include/octet/operators.h, examples/plugin.\n\n"
            "Every operator computes in float32; integers and bools where ONNX allows them. "
            "f16, bf16 and f64 are read and computed in f32. \"int8\" says that there are integer "
            "kernels, which quantized networks use; what lacks them computes in float between "
            "conversions. Opsets 7 to 22 are meant; nodes of opsets 1 to 6 become newer ones when they "
            "are read (docs/onnx.md), and a row that begins lower tells that older versions have the "
            "same form.\n\n"
            f"{summary(results)}\n"
        )
        if published:
            page.write(f"\nOf those that ONNX {version} published, {summary(published, True)}\n")
        domain_now = None
        for domain, name, versions, int8, cases, note in operator_rows(operators, table):
            if domain != domain_now:
                titles = {"": "ONNX", "octet": "Octet's own, which the engine puts in"}
                page.write(
                    f"\n## {titles.get(domain, domain)}\n\n"
                    "| operator | opsets | int8 | cases | notes |\n|---|---|---|---|---|\n"
                )
                domain_now = domain
            page.write(f"| {name} | {versions} | {int8} | {cases} | {note} |\n")
        page.write("\n## What ONNX has and Octet lacks\n\n")
        page.write(", ".join(missing_operators(operators)) + ".\n")
        page.write(f"\n## Cases of ONNX {onnx.__version__} that do not pass\n\n")
        write_failures(page, results, False)
        if published:
            page.write(f"\n## Cases of ONNX {version} that do not pass\n\n")
            write_failures(page, published, True)


def run(octet, *arguments):
    done = subprocess.run([octet, *arguments, "--json"], capture_output=True, text=True)
    if not done.stdout:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("octet")
    parser.add_argument("--cases")
    parser.add_argument("--published", nargs=2, metavar=("VERSION", "FOLDER"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.cases or temporary
        if not os.path.isdir(os.path.join(folder, "test_add")):
            subprocess.run([sys.executable, os.path.join(HERE, "dump_onnx_cases.py"), folder],
                           check=True)
        results = run(options.octet, "test", folder, "--quiet")
        table = by_operator(results)
    version, folder = options.published or ("", None)
    published = run(options.octet, "test", folder, "--quiet") if folder else None
    operators = run(options.octet, "operators")["operators"]
    print(f"{'operator':32} {'passed':>7} {'failed':>7} {'not supported':>14}")
    for name in sorted(table):
        counts = table[name]
        print(f"{name:32} {counts['passed']:7} {counts['failed']:7} {counts['unsupported']:14}")
    write_page(operators, results, table, version, published)
    print(f"\n{summary(results)} docs/operators.md is written.")
    if published:
        print(f"ONNX {version}: {summary(published, True)}")


if __name__ == "__main__":
    main()
