"""Train a small network that repaints photographs and video frames in the style of one painting.

    python train.py --style PAINTING.jpg --content DIR --backbone DIR --out DIR --minutes N

Data in, ONNX out: OUT receives model.onnx, model.json, samples.jpg, training.json and checkpoint.pt, again and again while
training goes on. Run the same command again to resume. README.md says what the folders must hold.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from network import StyleNet, export_onnx, multiply_adds

STYLE_LAYERS = {"relu1_1": 0.5, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.5, "relu5_1": 1.0}
CONTENT_LAYERS = {"relu3_1": 0.25, "relu4_1": 0.75}


# ---------------------------------------------------------------- the networks that judge
class Features(nn.Module):
    """relu1_1, 2_1, 3_1 of VGG-19; relu4_1, 5_1 (and a cheap 3_1 for content) of its distilled version. RGB in 0..1."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.vgg = self.load(folder / "vgg_normalised_conv3_1.pth")
        self.small = self.load(folder / "e5_base.pth")

    @staticmethod
    def load(path: Path) -> nn.ParameterDict:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return nn.ParameterDict({k.replace(".", "_"): nn.Parameter(
            v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v, requires_grad=False)
            for k, v in state.items()})

    @staticmethod
    def run(x: Tensor, net: nn.ParameterDict, first: str, layers: list[tuple[str, str]]) -> dict[str, Tensor]:
        x = F.conv2d(x, net[f"{first}_weight"], net[f"{first}_bias"])
        out = {}
        for name, key in layers:
            if name.endswith("_1") and name != "relu1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), net[f"{key}_weight"], net[f"{key}_bias"]))
            out[name] = x
        return out

    def content(self, x: Tensor) -> dict[str, Tensor]:
        depth = (2, 2, 4, 4, 1)
        layers = [(f"relu{b}_{i}", f"conv{b}{i}") for b, n in enumerate(depth, 1) for i in range(1, n + 1)]
        return self.run(x, self.small, "conv0", layers)

    def style(self, x: Tensor, small: dict[str, Tensor], tiles: int = 1) -> dict[str, Tensor]:
        names = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
        big = self.run(x, self.vgg, "0", list(zip(names, ("2", "5", "9", "12", "16"), strict=True)))
        return {name: gram(big[name] if name in big else small[name], tiles) for name in STYLE_LAYERS}


def gram(x: Tensor, tiles: int = 1) -> Tensor:
    """Gram matrices of each of tiles x tiles parts of each picture."""
    h, w = x.shape[2] // tiles, x.shape[3] // tiles
    parts = [x[:, :, i * h:(i + 1) * h, j * w:(j + 1) * w].flatten(2) for i in range(tiles) for j in range(tiles)]
    flat = torch.cat(parts)
    return (flat @ flat.transpose(1, 2) / flat.shape[2]).float()


def grid(y: Tensor, period: int = 4, tile: int = 12) -> Tensor:
    """How strong a pattern is fixed to the pixel grid: the variance of the sub-pixels' means over tiles of 48 pixels."""
    fine = y - F.avg_pool2d(y, 5, stride=1, padding=2, count_include_pad=False)
    means = F.avg_pool2d(F.pixel_unshuffle(fine, period), tile)
    return means.unflatten(1, (y.shape[1], period * period)).var(dim=2).mean()


# ---------------------------------------------------------------- pictures
def load_image(path: Path, short_side: int | None = None) -> Image.Image:
    image = Image.open(path).convert("RGB")
    if short_side:
        scale = short_side / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    return image


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def is_photograph(image: Image.Image) -> bool:
    """Diagrams and screenshots have many vertical neighbours that are exactly equal."""
    pixels = np.asarray(image)
    return bool((pixels[1:] == pixels[:-1]).all(-1).mean() < 0.4)


def split_photographs(folder: Path, hold_out: int) -> tuple[list[Path], list[Path]]:
    """(to train on, held out): every so-manieth of the sorted photographs is never trained on."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    paths = [p for p in paths if is_photograph(load_image(p))]
    held = {paths[int((i + 0.5) * len(paths) / hold_out)] for i in range(hold_out)}
    return [p for p in paths if p not in held], sorted(held)


class Crops:
    """Random square crops, at random scales, from photographs kept in memory."""

    def __init__(self, paths: list[Path], rng: random.Random) -> None:
        self.images = [np.array(load_image(p, 512)) for p in paths]
        self.rng = rng

    def batch(self, count: int, size: int) -> Tensor:
        out = []
        for _ in range(count):
            image = self.rng.choice(self.images)
            side = min(round(size * self.rng.uniform(1.0, 1.8)), *image.shape[:2])
            top, left = self.rng.randint(0, image.shape[0] - side), self.rng.randint(0, image.shape[1] - side)
            crop = Image.fromarray(image[top:top + side, left:left + side]).resize((size, size), Image.Resampling.BILINEAR)
            out.append(to_tensor(crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.rng.random() < 0.5 else crop))
        return torch.cat(out)


# ---------------------------------------------------------------- the loss
class Loss:
    def __init__(self, features: Features, painting: Tensor, weights: dict[str, float], tiles: int, bf16: bool) -> None:
        self.features, self.weights, self.tiles, self.bf16 = features, weights, tiles, bf16
        self.device = painting.device.type
        with torch.no_grad(), self.precision():
            self.target = self.features.style(painting, self.features.content(painting))

    def precision(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    def __call__(self, net: StyleNet, wide: Tensor, rng: random.Random) -> dict[str, Tensor]:
        """`wide`: a batch of crops with 2 pixels more on each side than what is judged, so that there is room to pan."""
        size = wide.shape[-1] - 4
        x = wide[..., 2:2 + size, 2:2 + size].contiguous(memory_format=torch.channels_last)
        dy, dx = rng.choice([(a, b) for a in range(-2, 3) for b in range(-2, 3) if (a, b) != (0, 0)])
        y = net(x)
        parts: dict[str, Tensor] = {}
        with self.precision():
            with torch.no_grad():
                wanted = self.features.content(x)
            small = self.features.content(y)
            grams = self.features.style(y, small, self.tiles)
        parts["content"] = self.weights["content"] * sum(
            w * (small[k].float() - wanted[k].float()).square().mean() / wanted[k].float().square().mean()
            for k, w in CONTENT_LAYERS.items())
        parts["style"] = self.weights["style"] * sum(
            w * (grams[k] - self.target[k]).square().mean() / self.target[k].square().mean()
            for k, w in STYLE_LAYERS.items())
        parts["grid"] = self.weights["grid"] * grid(y)
        parts["smooth"] = self.weights["smooth"] * (y.diff(dim=2).abs().mean() + y.diff(dim=3).abs().mean())
        if self.weights["stability"] > 0:
            moved = wide[..., 2 + dy:2 + dy + size, 2 + dx:2 + dx + size]
            noise = torch.randn_like(moved) * rng.uniform(0, 0.04)
            y2 = net((moved + noise + rng.uniform(-0.03, 0.03)).contiguous(memory_format=torch.channels_last))
            m = 8  # the borders see different surroundings
            change = y2[..., m:size - m, m:size - m] - y[..., m + dy:size - m + dy, m + dx:size - m + dx]
            parts["stability"] = self.weights["stability"] * change.square().mean()
        return parts


# ---------------------------------------------------------------- what is written
def write_samples(net: StyleNet, paths: list[Path], out: Path, count: int = 6, cell: tuple[int, int] = (400, 300)) -> None:
    """A sheet of photographs, each with the output beside it."""
    sheet = Image.new("RGB", (cell[0] * 4, cell[1] * ((count + 1) // 2)), "white")
    for i in range(min(count, len(paths))):
        path = paths[int((i + 0.5) * len(paths) / count)]
        image = ImageOps.fit(load_image(path), cell, Image.Resampling.LANCZOS)
        with torch.no_grad():
            painted = net(to_tensor(image).to(net.skip.device))[0].permute(1, 2, 0).cpu().numpy()
        left, top = i % 2 * 2 * cell[0], i // 2 * cell[1]
        sheet.paste(image, (left, top))
        sheet.paste(Image.fromarray((painted * 255).round().astype(np.uint8)), (left + cell[0], top))
    sheet.save(out, quality=90)


def save(out: Path, name: str, net: StyleNet, optimiser: torch.optim.Optimizer, held: list[Path], facts: dict) -> None:
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "facts": facts}, out / "checkpoint.part")
    os.replace(out / "checkpoint.part", out / "checkpoint.pt")
    export_onnx(net, out / "model.onnx")
    tensor = {"layout": "NCHW", "type": "float32", "range": "0..1", "channels": "RGB"}
    if not (out / "model.json").exists():  # words put in by hand stay
        (out / "model.json").write_text(json.dumps(
            {"name": name, "version": "1", "title": name.replace("-", " ").capitalize(), "description": "", "licence": "",
             "input": tensor, "output": tensor, "size": {"multipleOf": 4}}, indent=2) + "\n")
    (out / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
    write_samples(net, held, out / "samples.jpg")


# ---------------------------------------------------------------- the run
def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--style", type=Path, required=True, help="the painting")
    p.add_argument("--content", type=Path, required=True, help="folder of photographs")
    p.add_argument("--backbone", type=Path, required=True, help="folder of perceptual networks")
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--minutes", type=float, default=40.0, help="training time, those before a resumption included")
    p.add_argument("--steps", type=int, help="stop after so many steps instead: comparable runs on a shared machine")
    p.add_argument("--start", type=Path, help="checkpoint to fine-tune from, of another painting for instance")
    p.add_argument("--no-stability", action="store_true", help="leave the stability term out, to compare")
    for name, weight in (("style", 3.0), ("content", 2.0), ("stability", 100.0), ("smooth", 0.05), ("grid", 500.0)):
        p.add_argument(f"--{name}-weight", type=float, default=weight)
    p.add_argument("--style-size", type=int, default=448, help="short side of the painting: bigger means bigger strokes")
    p.add_argument("--tiles", type=int, default=1, help="judge the style on N x N parts of a crop: no plain skies")
    p.add_argument("--rate", type=float, default=1e-3)
    p.add_argument("--hold-out", type=int, default=20, help="photographs kept for samples and measurements")
    p.add_argument("--save-minutes", type=float, default=4.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    p.add_argument("--threads", type=int, default=2, help="CPU threads")
    p.add_argument("--bf16", action="store_true", help="judge in bfloat16: faster where the processor knows it")
    return p.parse_args()


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng = random.Random(a.seed)
    device = torch.device("cuda" if a.device == "cuda" or (a.device == "auto" and torch.cuda.is_available()) else "cpu")
    a.out.mkdir(parents=True, exist_ok=True)
    training, held = split_photographs(a.content, a.hold_out)
    crops = Crops(training, rng)

    net = StyleNet().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), a.rate)
    features = Features(a.backbone).to(device)
    weights = {"style": a.style_weight, "content": a.content_weight, "smooth": a.smooth_weight, "grid": a.grid_weight,
               "stability": 0.0 if a.no_stability else a.stability_weight}
    loss = Loss(features, to_tensor(load_image(a.style, a.style_size)).to(device), weights, a.tiles, a.bf16)

    step, before, resumed = 0, 0.0, (a.out / "checkpoint.pt").exists()
    if resumed or a.start:
        state = torch.load(a.out / "checkpoint.pt" if resumed else a.start, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
    if resumed:
        optimiser.load_state_dict(state["optimiser"])
        step, before = state["facts"]["steps"], state["facts"]["minutes"]
        rng.seed(a.seed + step)
    released = a.start is not None  # a network that has been trained already need not start near the identity

    began, saved = time.monotonic(), time.monotonic()
    progress, sums = 0.0, {}
    while progress < 1:
        minutes = before + (time.monotonic() - began) / 60
        progress = min(1.0, step / a.steps if a.steps else minutes / a.minutes)
        for group in optimiser.param_groups:
            group["lr"] = a.rate * min(1, (step + 1) / 50) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        net.skip.fill_(1.5 if released else max(1.5, 4 - 2.5 * progress / 0.15))
        # Two small crops at first; one large crop, as costly, for the last third.
        count, size = (2, 192) if progress < 0.67 else (1, 272)
        parts = loss(net, crops.batch(count, size + 4).to(device), rng)
        optimiser.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        for key, value in parts.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach()) / 50
        if step % 50 == 0:
            print(f"{minutes:6.1f} min  step {step:6d}  " + "  ".join(f"{k} {v:.4f}" for k, v in sums.items()), flush=True)
            sums = {}
        if progress >= 1 or time.monotonic() - saved > 60 * a.save_minutes:
            save(a.out, a.style.stem, net, optimiser, held, {
                "style": a.style.name, "steps": step, "minutes": round(minutes, 2), "device": device.type, "seed": a.seed,
                "weights": weights, "style_size": a.style_size, "tiles": a.tiles, "photographs": len(training),
                "held_out": [p.name for p in held], "parameters": sum(p.numel() for p in net.parameters()),
                "mflop_per_pixel": round(2e-6 * multiply_adds(net), 5)})
            saved = time.monotonic()


if __name__ == "__main__":
    main()
