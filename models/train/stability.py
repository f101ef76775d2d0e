"""Measure how steady style networks are: how much the output changes when the input hardly does.

    python stability.py --content DIR --out stability.json great-wave=runs/great-wave/model.onnx ...
    python stability.py ... other=microast.onnx:PAINTING.jpg        (a network with a second input, the painting)

On the photographs that train.py holds out, at 640x360 (RGB in 0..1), no state between frames:
noise  mean absolute change of the output for Gaussian noise of sigma 2/255 on the input
pan    the same for a picture moved by one pixel (right, then down), after moving the output back
gradient of the output goes with them: a grey, blurred output would be steady for the wrong reason.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

from train import load_image, split_photographs

WIDTH, HEIGHT = 640, 360


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255


class Model:
    def __init__(self, path: str, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        model, _, painting = path.partition(":")
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.names = [i.name for i in self.session.get_inputs()]
        self.extra = {self.names[1]: array(load_image(Path(painting), 448))} if painting else {}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.clip(self.session.run(None, {self.names[0]: np.ascontiguousarray(x), **self.extra})[0], 0, 1)


def measure(model: Model, paths: list[Path]) -> dict[str, float]:
    rows = []
    for number, path in enumerate(paths):
        big = array(ImageOps.fit(load_image(path), (WIDTH + 4, HEIGHT + 4), Image.Resampling.LANCZOS))
        x = big[..., :HEIGHT, :WIDTH]
        noise = np.random.default_rng(number).normal(0, 2 / 255, x.shape).astype(np.float32)
        y = model(x)
        noisy = np.abs(model(x + noise) - y).mean()
        right = np.abs(model(big[..., :HEIGHT, 1:WIDTH + 1])[..., :, :-1] - y[..., :, 1:]).mean()
        down = np.abs(model(big[..., 1:HEIGHT + 1, :WIDTH])[..., :-1, :] - y[..., 1:, :]).mean()
        gradient = (np.abs(np.diff(y, axis=2)).mean() + np.abs(np.diff(y, axis=3)).mean()) / 2
        rows.append((noisy, (right + down) / 2, gradient))
    noisy, pan, gradient = np.mean(rows, axis=0)
    return {"noise": round(float(noisy), 5), "pan": round(float(pan), 5), "gradient": round(float(gradient), 5)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", help="NAME=model.onnx, or NAME=model.onnx:PAINTING")
    p.add_argument("--content", type=Path, required=True)
    p.add_argument("--hold-out", type=int, default=20)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path, required=True)
    a = p.parse_args()
    _, held = split_photographs(a.content, a.hold_out)
    result = {"photographs": [path.name for path in held], "size": [WIDTH, HEIGHT], "noise_sigma": "2/255",
              "unit": "mean absolute change of the output, 0..1",
              "input_change_for_noise": round(2 / 255 * float(np.sqrt(2 / np.pi)), 5), "models": {}}
    for item in a.models:
        name, _, path = item.partition("=")
        result["models"][name] = measure(Model(path, a.threads), held)
        print(name, result["models"][name], flush=True)
        a.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
