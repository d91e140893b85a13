#!/usr/bin/python3
"""Runs torchvision's networks and compares with ONNX Runtime.

usage: vision.py OCTET ORT FOLDER [NAME ...]

OCTET is the command, ORT the folder of npm's onnxruntime-node; models are exported to FOLDER once
(random weights from a fixed seed; opset 13 for classification and segmentation, 11 for detection,
whose exports have NonMaxSuppression, RoiAlign, TopK, sometimes If, and shapes that depend on data).
Each network runs in float in both, is quantized on a few pictures of noise, and its int8 form runs in
both, too. NAME may be "classification", "segmentation" or "detection"; default: the last two.

The random weights are made to resemble trained ones where it matters: batch norms get the statistics
of a picture, or values would grow from block to block until sigmoids are 0 or 1 and nothing is
found; residual branches of ResNets count a quarter (near 0 is where training starts them), or rounding
would be amplified from block to block; the last layers of all heads are scaled so that logits spread
by 1.5, boxes by 0.1. The thresholds of the detectors are lowered. Detections are compared as a set,
since scores that differ in the last digits change places. ONNX Runtime's own optimization levels are
compared, too: what they differ by is what a network makes of rounding alone.

Fails for a float difference of 1e-4 and more, and for another int8 class of a classification.

Needs python3-torch, python3-torchvision, python3-onnx and node.
"""
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "differential_ort.mjs")
SEGMENTATION = ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50",
                "fcn_resnet50"]
DETECTION = {
    "ssdlite320_mobilenet_v3_large": {"score_thresh": 0.0},
    "ssd300_vgg16": {"score_thresh": 0.0},
    "fasterrcnn_mobilenet_v3_large_320_fpn": {"box_score_thresh": 0.0},
    "retinanet_resnet50_fpn": {"score_thresh": 0.0},
    "fcos_resnet50_fpn": {"score_thresh": 0.0},
    "fasterrcnn_resnet50_fpn": {"box_score_thresh": 0.0},
    "maskrcnn_resnet50_fpn": {"box_score_thresh": 0.0},
    "keypointrcnn_resnet50_fpn": {"box_score_thresh": 0.0},
}


def picture(shape, seed):
    """Smooth noise between 0 and 1."""
    if len(shape) == 4 and shape[0] > 1:
        return np.stack([picture(shape[1:], seed + 100 * i) for i in range(shape[0])])
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(3, shape[-2] // 16 + 1, shape[-1] // 16 + 1))
    smooth = np.kron(coarse, np.ones((1, 16, 16)))[:, :shape[-2], :shape[-1]]
    fine = 0.05 * rng.normal(size=smooth.shape)
    return (0.5 + 0.2 * smooth + fine).clip(0, 1).astype(np.float32).reshape(shape)


def settle(model, inputs):
    """Gives batch norms the statistics of the inputs, and scales what the heads put out."""
    import torch
    from torchvision.ops import FrozenBatchNorm2d

    norms = (torch.nn.BatchNorm2d, FrozenBatchNorm2d)
    convs = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)
    heads = ("cls_logits", "cls_score", "mask_fcn_logits", "kps_score_lowres", "bbox_ctrness",
             "classification_head.module_list", "classifier.")
    boxes = ("bbox_pred", "bbox_reg", "regression_head.module_list")
    done = set()

    def normalize(module, given):
        if module not in done and given[0].numel() > given[0].shape[1]:
            done.add(module)
            module.running_mean.copy_(given[0].mean(dim=(0, 2, 3)))
            module.running_var.copy_(given[0].var(dim=(0, 2, 3)).clamp_min(1e-6))

    def spread(to):
        def hook(module, given, out):
            if module in done or not out.numel():
                return out
            done.add(module)
            shape = (1, -1) + (1,) * (out.ndim - 2)
            bias = 0 if module.bias is None else module.bias.reshape(shape)
            factor = to / (out - bias).std().clamp_min(1e-12)
            module.weight.mul_(factor)
            return (out - bias) * factor + bias
        return hook

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, norms):
            if name.endswith(".bn3"):
                module.weight.data.mul_(0.25)
            hooks.append(module.register_forward_pre_hook(normalize))
        elif isinstance(module, convs) and any(part in name for part in boxes):
            hooks.append(module.register_forward_hook(spread(0.1)))
        elif isinstance(module, convs) and any(part in name for part in heads):
            hooks.append(module.register_forward_hook(spread(1.5)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layer_scale"):
                parameter.fill_(0.25)
            elif name.endswith("head.weight") and not parameter.any():
                parameter.normal_(std=0.02)
        model(inputs)
    for hook in hooks:
        hook.remove()


def picture_size(name):
    return 299 if name == "inception_v3" else 224


def classification():
    """The names of torchvision's own list, without those whose weights fill a file of 2 GB."""
    import torchvision.models
    return [name for name in torchvision.models.list_models(module=torchvision.models)
            if name not in ("vit_h_14", "regnet_y_128gf")]


def export(name, path):
    import torch
    from torchvision.models import detection, segmentation

    warnings.filterwarnings("ignore")
    torch.manual_seed(1)
    if name in SEGMENTATION:
        model = getattr(segmentation, name)(weights=None, weights_backbone=None).eval()
        settle(model, torch.from_numpy(picture((2, 3, 224, 224), 1)))
        torch.onnx.export(model, torch.zeros(1, 3, 224, 224), path, opset_version=13,
                          input_names=["image"],
                          dynamic_axes={"image": {0: "N", 2: "H", 3: "W"}})
        return
    if name not in DETECTION:
        import torchvision
        size = picture_size(name)
        more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        model = getattr(torchvision.models, name)(weights=None, **more).eval()
        settle(model, torch.from_numpy(picture((2, 3, size, size), 1)))
        torch.onnx.export(model, torch.zeros(1, 3, size, size), path, opset_version=13,
                          input_names=["image"], dynamic_axes={"image": {0: "N"}})
        return
    model = getattr(detection, name)(weights=None, weights_backbone=None, **DETECTION[name]).eval()
    settle(model, [torch.from_numpy(picture((3, 320, 320), 1))])
    torch.onnx.export(model, ([torch.from_numpy(picture((3, 320, 320), 1))],), path,
                      opset_version=11, input_names=["image"])


def run_octet(octet, model, image, outputs, folder):
    command = [octet, "run", model, "--input", f"image={image}", "--quiet"]
    for i, name in enumerate(outputs):
        command += ["--output", f"{name}={folder}/out{i}.npy"]
    subprocess.run(command, check=True)
    return [np.load(f"{folder}/out{i}.npy") for i in range(len(outputs))]


def run_ort(ort, model, image, shape, outputs, folder, level="all"):
    """None, and the reason, if ONNX Runtime can't load or run it."""
    jobs = [{"model": model, "inputs": {"image": {"dims": list(shape), "file": image}},
             "folder": folder, "level": level}]
    with open(f"{folder}/jobs.json", "w") as f:
        json.dump(jobs, f)
    done = subprocess.run(["node", RUNNER, ort, f"{folder}/jobs.json"], check=True,
                          capture_output=True, text=True)
    result = json.loads(done.stdout)[0]
    if "error" in result:
        return None, result["error"]
    infos = [result["outputs"][name] for name in outputs]
    return [np.fromfile(i["file"], i["type"]).reshape(i["dims"]) for i in infos], None


def apart(a, b):
    """The largest difference, relative to the largest value; rows of boxes may change places."""
    if a.shape != b.shape:
        return float("inf")
    if a.size == 0:
        return 0.0
    a, b = a.astype(np.float64), b.astype(np.float64)
    if a.ndim == 2 and a.shape[1] == 4:
        away = np.abs(a[:, None] - b[None]).max(axis=2)
        # both ways, so that no row stands for two
        return max(away.min(axis=0).max(), away.min(axis=1).max()) / np.abs(b).max()
    if a.ndim == 1:
        a, b = np.sort(a), np.sort(b)
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-9)


def furthest(got, expected):
    """Over all outputs; masks and keypoints follow the boxes' order, and count if it is the same."""
    ordered = got[0].shape == expected[0].shape and apart(got[0].reshape(-1),
                                                          expected[0].reshape(-1)) < 1e-3
    return max(apart(a, b) for a, b in zip(got, expected) if ordered or a.ndim <= 2)


def check(octet, ort, folder, name):
    model, int8 = f"{folder}/{name}.onnx", f"{folder}/{name}.int8.onnx"
    if not os.path.exists(model):
        try:
            export(name, model)
        except Exception as reason:  # torch raises whatever its exporter came upon
            print(f"{name}: can't be exported: {str(reason).splitlines()[0][:120]}", flush=True)
            return None
    loaded = onnx.load(model)
    outputs = [o.name for o in loaded.graph.output]
    opset = loaded.opset_import[0].version
    detection = name in DETECTION
    size = picture_size(name)
    shape = (3, 320, 320) if detection else (1, 3, size, size)
    image = picture(shape, 2)
    np.save(f"{folder}/image.npy", image)
    image.tofile(f"{folder}/image.bin")
    got = run_octet(octet, model, f"{folder}/image.npy", outputs, folder)
    expected, error = run_ort(ort, model, f"{folder}/image.bin", shape, outputs, folder)
    line = f"{name}: opset {opset}, {len(loaded.graph.node)} nodes"
    if error:
        print(f"{line}; ONNX Runtime: {error[:120]}")
        return False
    differences = furthest(got, expected)
    line += f"; float apart by at most {differences:.1e} ({list(got[0].shape)})"
    plain, error = run_ort(ort, model, f"{folder}/image.bin", shape, outputs, folder, "disabled")
    if not error:
        line += (f", ONNX Runtime without optimizations from itself by "
                 f"{furthest(expected, plain):.1e}")
    calibration = np.stack([picture(shape[-3:], seed) for seed in range(3, 7)])
    if detection:
        folder_of_samples = f"{folder}/samples"
        os.makedirs(folder_of_samples, exist_ok=True)
        for i, sample in enumerate(calibration):
            data = f"{folder_of_samples}/test_data_set_{i}"
            os.makedirs(data, exist_ok=True)
            with open(f"{data}/input_0.pb", "wb") as f:
                f.write(numpy_helper.from_array(sample, "image").SerializeToString())
        samples = folder_of_samples
    else:
        samples = f"{folder}/samples.npy"
        np.save(samples, calibration)
    subprocess.run([octet, "quantize", model, "--calib", samples, "--output", int8, "--quiet"],
                   check=True, stdout=subprocess.DEVNULL)
    got = run_octet(octet, int8, f"{folder}/image.npy", outputs, folder)
    expected, error = run_ort(ort, int8, f"{folder}/image.bin", shape, outputs, folder)
    if error:
        print(f"{line}; int8 in ONNX Runtime: {error[:120]}", flush=True)
        return False
    same = True
    sizes = [os.path.getsize(path) / 1e6 for path in (model, int8)]
    if name in SEGMENTATION:
        here, there = got[0].argmax(axis=1), expected[0].argmax(axis=1)
        alike = f"{100 * (here == there).mean():.2f}% of its pixels get the same class in both"
    elif not detection:
        same = (got[0].argmax(axis=1) == expected[0].argmax(axis=1)).all()
        alike = (f"{'the same class' if same else 'ANOTHER CLASS'} in both, scores apart by at most "
                 f"{furthest(got, expected):.1e}")
    else:
        alike = f"gives {list(got[0].shape)} here and {list(expected[0].shape)} there"
    print(f"{line}; int8 {sizes[0]:.0f} -> {sizes[1]:.0f} MB, {alike}", flush=True)
    return differences < 1e-4 and bool(same)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    octet, ort, folder = sys.argv[1:4]
    os.makedirs(folder, exist_ok=True)
    lists = {"classification": classification, "segmentation": lambda: SEGMENTATION,
             "detection": lambda: list(DETECTION)}
    names = [name for asked in sys.argv[4:] or ["segmentation", "detection"]
             for name in (lists[asked]() if asked in lists else [asked])]
    fine = [check(octet, ort, folder, name) for name in names]
    exported = [is_fine for is_fine in fine if is_fine is not None]
    print(f"{sum(exported)} of {len(exported)} networks run as in ONNX Runtime and quantize; "
          f"{len(fine) - len(exported)} can't be exported")
    return 0 if all(exported) else 1


if __name__ == "__main__":
    sys.exit(main())
