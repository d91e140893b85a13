#!/usr/bin/python3
"""Trains the demo's network and writes what `make demo` needs, all of it into this folder.

Handwritten digits of 8x8 pixels (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten
Digits, UCI Machine Learning Repository, as scikit-learn carries them), and a small network of
depthwise-separable convolutions. Needs python3-torch, python3-sklearn, python3-pil; takes about
a minute. `make demo` itself needs no Python: the results are committed.
"""
import pathlib

import numpy
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

HERE = pathlib.Path(__file__).parent
TEST, CALIBRATION = 597, 200


def separable(inputs, outputs, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.body = separable(channels, channels, 1)

    def forward(self, x):
        return x + self.body(x)


def network():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, 1, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
        separable(32, 64, 1),
        Residual(64),
        separable(64, 96, 2),
        Residual(96),
        separable(96, 128, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def shifted(images):
    """Each image moved by up to one pixel in either direction."""
    rows, columns = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(images, (rows, columns), (2, 3))


def main():
    torch.manual_seed(7)
    numpy.random.seed(7)
    torch.set_num_threads(2)
    digits = load_digits()
    images = numpy.minimum(digits.images * 16, 255).astype(numpy.uint8)[:, None]
    order = numpy.random.permutation(len(images))
    test, train = order[:TEST], order[TEST:]
    x = torch.tensor(images[train], dtype=torch.float32) / 255
    y = torch.tensor(digits.target[train])
    model = network()
    epochs, batch = 60, 64
    optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(epochs):
        permutation = torch.randperm(len(x))
        for i in range(len(x) // batch):
            pick = permutation[i * batch : (i + 1) * batch]
            loss = nn.functional.cross_entropy(model(shifted(x[pick])), y[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        scores = model(torch.tensor(images[test], dtype=torch.float32) / 255)
    accuracy = (scores.argmax(1).numpy() == digits.target[test]).mean()
    print(f"test accuracy {accuracy:.4f}, {sum(p.numel() for p in model.parameters())} parameters")
    torch.onnx.export(
        model, torch.zeros(1, 1, 8, 8), HERE / "digits.onnx", opset_version=13,
        input_names=["image"], output_names=["scores"],
        dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
    )
    numpy.save(HERE / "calibration.npy", images[train[:CALIBRATION]])
    numpy.save(HERE / "test.npy", images[test])
    numpy.savetxt(HERE / "labels.txt", digits.target[test], fmt="%d")
    pick = next(i for i in test if digits.target[i] == 7)
    Image.fromarray(images[pick, 0]).save(HERE / "seven.png")


if __name__ == "__main__":
    main()
