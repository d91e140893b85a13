#!/usr/bin/python3
"""Writes ONNX's own operator tests as folders that `octet test` runs.

usage: dump_onnx_cases.py FOLDER

Needs python3-onnx (Debian 12: 1.12), which carries the generators of the cases. Each case becomes
FOLDER/NAME with model.onnx and test_data_set_0/input_K.pb and output_K.pb.
"""
import os
import sys

import numpy

# aliases that newer numpy has removed and onnx 1.12 still uses
for name, kind in (("bool", bool), ("int", int), ("float", float), ("object", object)):
    if name not in vars(numpy):
        setattr(numpy, name, kind)

import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.case.node import collect_testcases  # noqa: E402


def to_proto(value, info):
    """The value as the proto that its type asks for."""
    kind = info.type.WhichOneof("value")
    if isinstance(value, onnx.TensorProto):
        return value
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name)
    array = numpy.asarray(value)
    if info.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16:
        # numpy has no such type: the cases hold the bits
        proto = onnx.TensorProto(data_type=onnx.TensorProto.BFLOAT16, dims=array.shape)
        proto.name = info.name
        proto.raw_data = array.astype(numpy.uint16).tobytes()
        return proto
    return numpy_helper.from_array(array, info.name)


def write_case(folder, case):
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    with open(os.path.join(folder, "model.onnx"), "wb") as f:
        f.write(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    for kind, values, infos in (
        ("input", inputs, case.model.graph.input),
        ("output", outputs, case.model.graph.output),
    ):
        for k, (value, info) in enumerate(zip(values, infos)):
            with open(os.path.join(data, f"{kind}_{k}.pb"), "wb") as f:
                f.write(to_proto(value, info).SerializeToString())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    numpy.random.seed(0)
    count = 0
    for case in collect_testcases(None):
        if case.kind == "node":
            folder = os.path.join(sys.argv[1], case.name)
            while os.path.exists(folder):
                folder += "_again"
            write_case(folder, case)
            count += 1
    print(f"{count} cases in {sys.argv[1]}")


if __name__ == "__main__":
    main()
