#!/usr/bin/python3
"""Runs ONNX's own operator tests and writes docs/operators.md.

usage: conformance.py OCTET [FOLDER]

OCTET is the command (build/octet); the cases are written to FOLDER (default: a temporary one) by
dump_onnx_cases.py. Prints a table by operator.
"""
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
    "test_sequence": "sequences",
    "test_identity_sequence": "sequences",
    "test_identity_opt": "optional values",
    "test_if_opt": "optional values",
    "test_if_seq": "sequences",
    "test_loop13_seq": "sequences",
    "test_loop16_seq_none": "optional values",
    "test_optional": "optional values",
    "test_resize_downsample_scales": "the case expects coordinates that later versions of ONNX "
    "correct; Octet agrees with ONNX Runtime",
    "test_scan_sum": "Scan of opset 8, whose inputs differ from those of later ones",
}

NOTES = {
    "Cast": "no strings; f16, bf16 and f64 are held in f32",
    "CastLike": "as Cast",
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


def reason_of(name, outcome):
    if outcome["result"] == "passed":
        return None
    fitting = [start for start in REASONS if name.startswith(start)]
    return REASONS[max(fitting, key=len)] if fitting else outcome["reason"].split(": ", 1)[-1]


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


def summary(results):
    """One line: how many of the cases pass that are about inference on numbers."""
    reasons = [reason_of(os.path.basename(o["case"]), o) for o in results["cases"]]
    training, strings = reasons.count("training"), reasons.count("strings")
    passed, about = reasons.count(None), len(reasons) - training - strings
    return (f"{passed} of {about} cases pass ({100 * passed / about:.1f}%) that are about inference "
            f"on numbers; {training} more are about training and {strings} about strings.")


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
    return sorted(known - have)


def write_page(operators, results, table):
    with open(PAGE, "w") as page:
        page.write(
            "# Operators\n\n"
            "Made by `make conformance` from the code's own table (`octet operators`) and a run "
            f"of the operator tests of ONNX {onnx.__version__} (`octet test`). Custom operators can "
            "be added: include/octet/operators.h, examples/plugin.\n\n"
            "Every operator computes in float32; integers and bools where ONNX allows them. "
            "f16, bf16 and f64 are read and computed in f32. \"int8\" says that there are integer "
            "kernels, which quantized networks use; what lacks them computes in float between "
            "conversions. Opsets 7 to 22 are meant; a table that begins lower tells that older "
            "versions have the same form.\n\n"
            f"{summary(results)}\n"
        )
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
        page.write("\n## Cases that do not pass\n\n| case | result | why |\n|---|---|---|\n")
        for outcome in results["cases"]:
            name = os.path.basename(outcome["case"])
            why = reason_of(name, outcome)
            if why:
                page.write(f"| {name} | {outcome['result']} | {why} |\n")


def run(octet, *arguments):
    done = subprocess.run([octet, *arguments, "--json"], capture_output=True, text=True)
    if not done.stdout:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = sys.argv[2] if len(sys.argv) == 3 else temporary
        if not os.path.isdir(os.path.join(folder, "test_add")):
            subprocess.run([sys.executable, os.path.join(HERE, "dump_onnx_cases.py"), folder],
                           check=True)
        results = run(sys.argv[1], "test", folder, "--quiet")
        table = by_operator(results)
    operators = run(sys.argv[1], "operators")["operators"]
    print(f"{'operator':32} {'passed':>7} {'failed':>7} {'not supported':>14}")
    for name in sorted(table):
        counts = table[name]
        print(f"{name:32} {counts['passed']:7} {counts['failed']:7} {counts['unsupported']:14}")
    write_page(operators, results, table)
    print(f"\n{summary(results)} docs/operators.md is written.")


if __name__ == "__main__":
    main()
