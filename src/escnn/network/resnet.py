"""The residual network; its `ModelConfig` makes it a ResNet-34 or the small default.

K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition, 2015 (basic blocks); the "average"
shortcut is from T. He et al.: Bag of Tricks for Image Classification, 2018 (ResNet-D).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from escnn.model.architecture import ModelConfig


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them; `stride` 2 halves mels and frames."""

    def __init__(self, channels_in: int, channels: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(channels_in, channels, stride, shortcut)
        self.relu = nn.ReLU()  # not in place: the sum before it is a feature map, too

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, mels, frames) to (batch, channels, mels / stride, frames / stride)."""
        y = self.relu1(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        out: Tensor = self.relu(y + self.shortcut(x))
        return out


class ResNet(nn.Module):
    """Log-mels ``(batch, 1, mels, frames)`` to logits ``(batch, classes)``."""

    def __init__(self, config: ModelConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        kernel, width = config.stem_kernel, config.widths[0]
        self.conv1 = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(1, width, kernel, 2, kernel // 2, bias=False),
                norm=nn.BatchNorm2d(width),
                relu=nn.ReLU(inplace=True),
                pool=nn.MaxPool2d(3, 2, 1),
            )
        )
        self.stages: list[str] = []
        channels_in = width
        for number, (channels, depth) in enumerate(zip(config.widths, config.depths, strict=True), start=1):
            blocks = OrderedDict[str, nn.Module]()
            for index in range(depth):
                stride = 2 if index == 0 and number > 1 else 1
                blocks[f"block{index}"] = Block(channels_in, channels, stride, config.shortcut)
                channels_in = channels
            self.stages.append(f"layer{number}")
            self.add_module(f"layer{number}", nn.Sequential(blocks))
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(channels_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (batch, classes)."""
        x = self.conv1(x)
        for stage in self.stages:
            x = self.get_submodule(stage)(x)  # (batch, channels, mels, frames)
        x = x.mean(dim=2)  # (batch, channels, frames)
        x = x.mean(dim=2) + x.amax(dim=2) if self.config.pooling == "mean+max" else x.mean(dim=2)
        logits: Tensor = self.classify(self.dropout(x))
        return logits


@contextmanager
def record_feature_maps(model: ResNet) -> Iterator[dict[str, Tensor]]:
    """While the block runs, every forward pass of `model` fills the dictionary that it gives.

    Keys, in the order of the network: ``conv1``; for every block ``layer1.block0.conv`` (the sum before its ReLU) and
    ``layer1.block0.relu`` (after it); then the stage, ``layer1``. Values: (batch, channels, mels, frames), detached.
    """
    maps: dict[str, Tensor] = {}
    hooks = []

    def keep_output(name: str, module: nn.Module) -> None:
        hooks.append(module.register_forward_hook(lambda _module, _args, out: maps.__setitem__(name, out.detach())))

    def keep_input(name: str, module: nn.Module) -> None:
        hooks.append(module.register_forward_pre_hook(lambda _module, args: maps.__setitem__(name, args[0].detach())))

    keep_output("conv1", model.conv1)
    for stage in model.stages:
        for block, _ in model.get_submodule(stage).named_children():
            relu = model.get_submodule(f"{stage}.{block}.relu")
            keep_input(f"{stage}.{block}.conv", relu)
            keep_output(f"{stage}.{block}.relu", relu)
        keep_output(stage, model.get_submodule(stage))
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def _shortcut(channels_in: int, channels: int, stride: int, kind: str) -> nn.Module:
    """The way around a block: nothing when the shapes agree, otherwise a 1x1 convolution."""
    if stride == 1 and channels_in == channels:
        return nn.Identity()
    project = [nn.Conv2d(channels_in, channels, 1, 1, bias=False), nn.BatchNorm2d(channels)]
    if stride == 1:
        return nn.Sequential(*project)
    if kind == "average":
        return nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True), *project)
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
