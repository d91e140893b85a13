#!/usr/bin/python3
"""Golden vectors for the observers, from PyTorch 1.13 (Debian's python3-torch).

Writes tests/golden/observers.bin (the batches) and tests/golden/observers.txt (one configuration a
line with the scale and zero point that torch computes). HistogramObserver is used with the fix of
pytorch pull request 90355: torch 1.13 passes int(min), int(max) to histc, which empties most bins of
data below 1. NaN and infinities, which torch lets through, are taken out before torch sees them.
"""
import argparse
import os
import struct
import sys
import warnings

import numpy as np
import torch
import torch.ao.quantization as tq

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
SHAPE = (4, 6, 8, 8)
BATCHES = 4


class FixedHistogramObserver(tq.HistogramObserver):
    """HistogramObserver whose histc gets the range as it is."""

    def forward(self, x):
        histc = torch.histc

        def fixed(t, bins, min=0, max=0, out=None):
            low, high = self.fixed_range(t)
            return histc(t, bins, min=low, max=high, out=out) if out is not None else histc(
                t, bins, min=low, max=high)

        torch.histc = fixed
        try:
            return super().forward(x)
        finally:
            torch.histc = histc

    def _adjust_min_max(self, combined_min, combined_max, upsample_rate):
        result = super()._adjust_min_max(combined_min, combined_max, upsample_rate)
        self.combined = (result[0].item(), result[1].item())
        return result

    def fixed_range(self, x):
        combined = self.__dict__.pop("combined", None)
        return combined if combined else (x.min().item(), x.max().item())


def datasets(seed):
    rng = np.random.default_rng(seed)

    def normal(scale=1.0, shift=0.0):
        channel = np.linspace(0.3, 2.0, SHAPE[1])[None, :, None, None]
        return [(rng.standard_normal(SHAPE) * scale * channel + shift).astype(np.float32)
                for _ in range(BATCHES)]

    odd = normal()
    for batch in odd:
        flat = batch.reshape(-1)
        flat[rng.integers(0, flat.size, 40)] = np.nan
        flat[rng.integers(0, flat.size, 9)] = np.inf
        flat[rng.integers(0, flat.size, 9)] = -np.inf
    growing = [b * np.float32(g) for b, g in zip(normal(), (0.1, 1.0, 3.0, 40.0))]
    heavy = [(rng.standard_t(1.5, SHAPE)).astype(np.float32) for _ in range(BATCHES)]
    return {
        "normal": normal(),
        "heavy": heavy,
        "onesided": [np.maximum(b, 0) for b in normal()],
        "positive": normal(0.05, 3.0),
        "negative": [-np.abs(b) - np.float32(0.5) for b in normal()],
        "constant": [np.full(SHAPE, 3.25, np.float32)] * BATCHES,
        "zero": [np.zeros(SHAPE, np.float32)] * BATCHES,
        "tiny": normal(1e-12),
        "huge": normal(1e9),
        "odd": odd,
        "growing": growing,
        "small": normal(0.02, 0.01),
    }


DTYPES = {"quint8": torch.quint8, "qint8": torch.qint8, "qint32": torch.qint32}
CLASSES = {
    "minmax": tq.MinMaxObserver,
    "moving-average": tq.MovingAverageMinMaxObserver,
    "per-channel-minmax": tq.PerChannelMinMaxObserver,
    "moving-average-per-channel": tq.MovingAveragePerChannelMinMaxObserver,
    "histogram": FixedHistogramObserver,
    "torch-histogram": FixedHistogramObserver,
}


def configurations():
    """Observer, dtype, scheme and the arguments that are not the default."""
    tensor = ("per_tensor_affine", "per_tensor_symmetric")
    channel = ("per_channel_affine", "per_channel_symmetric")
    for observer in CLASSES:
        for scheme in (channel if "per-channel" in observer else tensor):
            for dtype in DTYPES:
                if dtype == "qint32" and ("histogram" in observer or scheme.endswith("affine")):
                    continue
                yield observer, dtype, scheme, {}
            yield observer, "qint8", scheme, {"reduce_range": True}
            yield observer, "qint8", scheme, {"quant_min": -127, "quant_max": 127, "eps": 2 ** -12}
            yield observer, "quint8", scheme, {"quant_min": 0, "quant_max": 127}
        if "symmetric" not in observer:
            scheme = (channel if "per-channel" in observer else tensor)[0]
            yield observer, "quint8", scheme, {"reduce_range": True}
            yield observer, "quint8", scheme, {"quant_min": 0, "quant_max": 200,
                                               "reduce_range": True}
        if "moving" in observer:
            scheme = (channel if "per-channel" in observer else tensor)[0]
            yield observer, "quint8", scheme, {"averaging_constant": 0.25}
        if "per-channel" in observer:
            yield observer, "quint8", channel[0], {"ch_axis": 3}
            yield observer, "qint8", channel[1], {"ch_axis": 0}
            yield observer, "quint8", "per_channel_affine_float_qparams", {"ch_axis": 1}
        if "histogram" in observer:
            yield observer, "quint8", tensor[0], {"bins": 512}
            yield observer, "quint8", tensor[0], {"bins": 100}
        if observer == "torch-histogram":
            yield observer, "quint8", tensor[0], {"upsample_rate": 16}


def clean(batch, per_channel, axis):
    """What is left of a batch without NaN and infinities; per channel, they are given a value that
    the channel has anyway, which changes no minimum or maximum."""
    good = np.isfinite(batch)
    if good.all():
        return torch.from_numpy(batch)
    if not per_channel:
        return torch.from_numpy(batch[good])
    moved = np.moveaxis(batch.copy(), axis, 0)
    for row in moved:
        row[~np.isfinite(row)] = row[np.isfinite(row)][0]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(moved, 0, axis)))


def bits(value):
    return "%08x" % struct.unpack("<I", struct.pack("<f", float(value)))[0]


def line(name, observer, dtype, scheme, options, batches):
    options = dict(options)
    arguments = dict(options, dtype=DTYPES[dtype], qscheme=getattr(torch, scheme))
    axis = options.get("ch_axis", 1)
    per_channel = "per-channel" in observer
    if per_channel:
        arguments["ch_axis"] = axis
    made = CLASSES[observer](**arguments)
    cleaned = [clean(b, per_channel, axis) for b in batches]
    if observer == "histogram":
        made(torch.cat([c.reshape(-1) for c in cleaned]))
    else:
        for batch in cleaned:
            made(batch)
    scale, zero_point = made.calculate_qparams()
    is_float = scheme.endswith("float_qparams")
    zeros = [bits(z) if is_float else str(int(z)) for z in zero_point.reshape(-1)]
    fields = [observer, dtype, scheme, name, len(batches), int(options.get("reduce_range", False)),
              options.get("quant_min", "-"), options.get("quant_max", "-"),
              bits(options.get("eps", 2.0 ** -23)), bits(options.get("averaging_constant", 0.01)),
              options.get("bins", 2048), options.get("upsample_rate", 128), axis, len(zeros)]
    return " ".join(map(str, fields + [bits(s) for s in scale.reshape(-1)] + zeros))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden"))
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    folder = arguments.folder
    os.makedirs(folder, exist_ok=True)
    data = datasets(arguments.seed)
    with open(os.path.join(folder, "observers.bin"), "wb") as file:
        for batches in data.values():
            for batch in batches:
                file.write(batch.astype("<f4").tobytes())
    lines = []
    for i, (observer, dtype, scheme, options) in enumerate(configurations()):
        for name, batches in data.items():
            # every configuration meets every kind of data, in one batch or in all of them
            count = BATCHES if (i + len(lines)) % 3 else 1
            try:
                lines.append(line(name, observer, dtype, scheme, options, batches[:count]))
            except (RuntimeError, NotImplementedError, AssertionError) as error:
                print("skipped", observer, dtype, scheme, options, name, repr(error)[:90],
                      file=sys.stderr)
    with open(os.path.join(folder, "observers.txt"), "w") as file:
        file.write("# %s: scripts/golden_observers.py\n" % ("torch " + torch.__version__))
        file.write("data %s shape %s batches %d\n" % (
            ",".join(data), "x".join(map(str, SHAPE)), BATCHES))
        file.write("\n".join(lines) + "\n")
    print("%d cases" % len(lines))


if __name__ == "__main__":
    main()
