#!/usr/bin/python3
"""Writes the networks that the benchmarks time, as float ONNX files, and samples to calibrate them.

    bench/networks.py FOLDER [NAME ...]

Architectures from torchvision 0.14 with random weights from a fixed seed: speed does not depend on
what a network has learnt. Batch-norm statistics come from a forward pass on noise, so that
activations keep a sane range through all layers. Needs python3-torch, python3-torchvision.
"""
import pathlib
import sys

import numpy
import torch
import torchvision

NAMES = [
    "resnet18", "resnet50", "vgg16", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_large",
    "efficientnet_b0", "shufflenet_v2_x1_0", "densenet121", "vit_b_16",
]


def noise(count):
    """Images of smooth noise: neighboring pixels are alike, as in photographs."""
    coarse = torch.randn(count, 3, 28, 28)
    fine = torch.nn.functional.interpolate(coarse, 224, mode="bilinear", align_corners=False)
    return fine + 0.3 * torch.randn(count, 3, 224, 224)


def settle(model):
    """Sets the statistics of every batch norm to those of a few batches of noise."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(2):
            model(noise(8))
    model.eval()


def export(name, folder):
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)(weights=None)
    if name.startswith("vit"):
        # random heads are zero and would make the output constant
        torch.nn.init.normal_(model.heads.head.weight, std=0.02)
        model.eval()
    else:
        settle(model)
    # with gradients on, attention is exported as its plain operators
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    torch.onnx.export(model, noise(1), folder / f"{name}.onnx", opset_version=13,
                      input_names=["image"], output_names=["scores"],
                      dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}})
    print(name, flush=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NAMES:
        if not (folder / f"{name}.onnx").exists():
            export(name, folder)
    torch.manual_seed(2)
    numpy.save(folder / "samples.npy", noise(16).numpy())


if __name__ == "__main__":
    main()
