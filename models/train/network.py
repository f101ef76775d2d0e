"""The style network: what train.py trains, and how it is written as ONNX."""
from __future__ import annotations

import os
from pathlib import Path

import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution with reflected borders, then (optionally) instance normalisation and ReLU."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1, dilation: int = 1,
                 norm: bool = True, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, dilation * (kernel // 2), dilation, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(cout, affine=True) if norm else nn.Identity()
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)))


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class StyleNet(nn.Module):
    """RGB in 0..1 to RGB in 0..1, any size whose sides are multiples of 4.

    Nothing is computed at full resolution but the first convolution's input and the last addition: the work is done at a
    half and (mostly) a quarter of the size. The output is sigmoid(net(x) + skip * (x - 0.5)); training starts near the
    identity (skip 4), which settles the colours at once, and then lets go (skip 1.5).
    """

    def __init__(self, thin: int = 24, wide: int = 48, blocks: int = 5) -> None:
        super().__init__()
        self.register_buffer("skip", torch.tensor(4.0))
        self.net = nn.Sequential(
            Conv(3, thin, 5, stride=2, norm=False),
            Conv(thin, wide, stride=2),
            *[Residual(Conv(wide, wide, dilation=1 + i % 2), Conv(wide, wide, relu=False)) for i in range(blocks)],
            nn.Upsample(scale_factor=2, mode="nearest"),
            Conv(wide, thin),
            Conv(thin, 12, norm=False, relu=False),
            nn.PixelShuffle(2),
        )
        last = self.net[-2].conv  # the four sub-pixels start equal and small: no chequerboard, near identity
        with torch.no_grad():
            last.weight.copy_(0.1 * last.weight[::4].repeat_interleave(4, 0))
            last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = x - 0.5
        return torch.sigmoid(self.net(x) + self.skip * x)


def multiply_adds(net: StyleNet, height: int = 360, width: int = 640) -> float:
    """Multiply-adds of the convolutions for each pixel of the picture."""
    total = 0

    def count(module: nn.Conv2d, _: object, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        net(torch.zeros(1, 3, height, width, device=net.skip.device))
    for hook in hooks:
        hook.remove()
    return total / (height * width)


def export_onnx(net: StyleNet, path: Path) -> None:
    axes = {0: "batch", 2: "height", 3: "width"}
    still = StyleNet()
    still.load_state_dict({k: v.detach().cpu() for k, v in net.state_dict().items()})
    part = path.with_suffix(".part")
    torch.onnx.export(still.eval(), (torch.rand(1, 3, 64, 96),), str(part), dynamo=False, opset_version=17,
                      input_names=["input"], output_names=["output"], dynamic_axes={"input": axes, "output": axes})
    # Fold what PyTorch computes from constants (the widths of the borders) and keep to the standard operators.
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(part)
    ort.InferenceSession(part.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(part)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", 17))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, part)
    os.replace(part, path)
