"""The frame head in torch: feature maps of the last two stages to a logit a class for every frame of the finer one."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from escnn.model.architecture import ModelConfig
from escnn.model.frames import HEAD, FrameHeadConfig, head_shapes
from escnn.network.resnet import ResNet

RARE = -4.0  # bias of the last layer at first: most classes are silent most of the time


class FrameHead(nn.Module):
    """See `model.frames`, which says what it sees; tensor names are those of `head_shapes`, without ``frames.``."""

    def __init__(self, model: ModelConfig, config: FrameHeadConfig, classes: int, mels: int, dropout: float = 0.0):
        super().__init__()
        self.config = config
        shapes = head_shapes(model, config, classes, mels)

        def convolution(name: str) -> nn.Conv1d:
            channels, channels_in, kernel = shapes[f"{HEAD}{name}.weight"]
            return nn.Conv1d(channels_in, channels, kernel, padding=kernel // 2)

        self.fine, self.coarse = convolution("fine"), convolution("coarse")
        self.mix, self.classify = convolution("mix"), convolution("classify")
        self.dropout = nn.Dropout(dropout)
        self.classify.bias = nn.Parameter(torch.full((classes,), RARE))

    def forward(self, rows: Tensor, mean: Tensor) -> Tensor:
        """What `last_stages` gives of a network to logits (batch, classes, frames)."""
        config = self.config
        smooth = F.avg_pool1d(mean, config.mean_frames, 1, config.mean_frames // 2, count_include_pad=False)
        highest = F.max_pool1d(mean, config.highest_frames, 1, config.highest_frames // 2)
        context = doubled(self.coarse(torch.cat((mean, smooth, highest), 1)), rows.shape[2])
        x = F.relu(torch.cat((self.fine(rows), context), 1))
        logits: Tensor = self.classify(self.dropout(F.relu(self.mix(x))))
        return logits


def doubled(x: Tensor, frames: int) -> Tensor:
    """Twice as many frames, (batch, channels, frames): every second one lies halfway between two of `x`."""
    following = torch.cat((x[:, :, 1:], x[:, :, -1:]), 2)
    return torch.stack((x, (x + following) / 2), 3).flatten(2)[:, :, :frames]


def last_stages(network: ResNet, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a frame head sees of a network's input (batch, 1, mels, frames): all mel rows of the last stage but one,
    (batch, channels * rows, frames), and the mean over rows of the last, (batch, channels, frames).
    """
    *others, last = network.stages
    x = network.conv1(x)
    for stage in others:
        x = network.get_submodule(stage)(x)
    return x.flatten(1, 2), network.get_submodule(last)(x).mean(dim=2)
