"""A model file at work in torch: log-mels, scores, feature maps and saliency, on any device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from escnn.audio.log_mel import normalize
from escnn.errors import UsageError
from escnn.model.frames import HEAD, head_shapes
from escnn.model.frames_without_head import FrameClassifier, frame_scores_without_head
from escnn.model.model_file import ModelFile
from escnn.network import saliency
from escnn.network.frame_head import FrameHead, last_stages
from escnn.network.log_mel import TorchLogMel
from escnn.network.resnet import ResNet, record_feature_maps
from escnn.version import __version__

Array = NDArray[np.float32]


class TorchRuntime:
    """The network of a model file, ready to compute on `device`, on a CPU with so many `threads`."""

    batch_windows = 4  # as fast as 16 on a CPU, with a third of the memory
    parallel = 1  # call of `scores` at once: it uses all cores

    def __init__(self, model: ModelFile, device: torch.device, *, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.card, self.device = model.card, device
        self.network = build_network(model).to(device).to(memory_format=torch.channels_last)
        self.versions, self.has_saliency = versions(), True
        self._head = build_frame_head(model)
        if self._head is not None:
            self._head.to(device)
        self._classifier = FrameClassifier.of(model)
        self._log_mel = TorchLogMel(model.card.audio).to(device)

    @torch.inference_mode()
    def log_mels(self, windows: Array) -> Array:
        """Log-mels in dB, (windows, mels, frames), of waveforms (windows, time) at the model's rate."""
        decibels: Array = self._log_mel(torch.from_numpy(windows).to(self.device))[:, 0].cpu().numpy()
        return decibels

    @torch.inference_mode()
    def scores(self, log_mels: Array) -> Array:
        """Scores (windows, classes), rows adding up to one, of log-mels in dB, (windows, mels, frames)."""
        x = self._input(log_mels)[:, None].contiguous(memory_format=torch.channels_last)
        scores: Array = self.network(x).softmax(dim=1).cpu().numpy()
        return scores

    @torch.inference_mode()
    def frame_scores(self, log_mels: Array) -> Array:
        """Scores (batch, classes, frames), each 0 to 1, of log-mels in dB (batch, mels, frames): what sounds when.

        They lie ``card.frame_seconds`` apart. Without a frame head they are from `frame_scores_without_head`.
        """
        rows, mean = last_stages(self.network, self._input(log_mels)[:, None])
        if self._head is None:
            return frame_scores_without_head(mean.cpu().numpy(), self._classifier)
        frames: Array = self._head(rows, mean).sigmoid().cpu().numpy()
        return frames

    @torch.inference_mode()
    def feature_maps(self, log_mel: Array) -> dict[str, Array]:
        """Feature maps of one window's log-mel, (mels, frames): layer -> (channels, mels, frames), in order."""
        with record_feature_maps(self.network) as maps:
            self.network(self._input(log_mel)[None, None])
        return {layer: values[0].float().cpu().numpy() for layer, values in maps.items()}

    def class_activation(self, log_mel: Array, class_ids: Sequence[int]) -> Array:
        """What in a log-mel, (mels, frames), speaks for each class: (classes, mels, frames) of the last stage's cells;
        see `FrameClassifier.activation`.
        """
        return self._classifier.activation(self.feature_maps(log_mel)[self.card.layers[-1]], class_ids)

    def saliency(self, log_mel: Array, class_ids: Sequence[int]) -> Array:
        """The evidence for each class in one window's log-mel: (classes, mels, frames), 0 to 1."""
        return saliency.saliency(self.network, self._input(log_mel), class_ids)

    def deletion(self, log_mel: Array, salient: Array, class_id: int) -> tuple[float, float]:
        """The score of a class without its evidence, and without as much at random; see `saliency.deletion`."""
        return saliency.deletion(self.network, self._input(log_mel), salient, class_id)

    def _input(self, log_mel: Array) -> Tensor:
        """Log-mels as the network is given them."""
        return normalize(torch.from_numpy(log_mel).to(self.device), self.card.normalization)


def build_network(model: ModelFile) -> ResNet:
    """The network that a model file describes, with its weights, in evaluation mode, on the CPU."""
    with torch.device("meta"):  # nothing is drawn that the file's weights would replace
        network = ResNet(model.card.model, len(model.card.labels))
    weights = {
        name: torch.from_numpy(np.asarray(array, order="C"))
        for name, array in model.weights.items()
        if not name.startswith(HEAD)
    }
    network.load_state_dict(weights, assign=True)
    return network.eval()


def build_frame_head(model: ModelFile) -> FrameHead | None:
    """The frame head of a model file, in evaluation mode, on the CPU; None if it has none."""
    card = model.card
    if card.frames is None:
        return None
    with torch.device("meta"):
        head = FrameHead(card.model, card.frames.head, len(card.labels), card.audio.n_mels)
    shapes = head_shapes(card.model, card.frames.head, len(card.labels), card.audio.n_mels)
    weights = {name.removeprefix(HEAD): torch.from_numpy(np.asarray(model.weights[name], order="C")) for name in shapes}
    head.load_state_dict(weights, assign=True)
    return head.eval()


def network_weights(network: ResNet, head: FrameHead | None = None) -> dict[str, NDArray[np.generic]]:
    """The weights of a network, and of a frame head on it, as a model file keeps them."""
    tensors = dict(network.state_dict())
    if head is not None:
        tensors |= {f"{HEAD}{name}": tensor for name, tensor in head.state_dict().items()}
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}


def choose_device(name: str) -> torch.device:
    """The device called auto, cpu, cuda or mps; auto takes the fastest there is.

    Raises:
        UsageError: it is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there.get(name):
        raise UsageError(f"device {name!r} is not there", hint="--device auto takes the best there is")
    return torch.device(name)


def versions() -> dict[str, str]:
    """Versions of what makes the numbers."""
    return {"escnn": __version__, "torch": str(torch.__version__), "torchaudio": str(torchaudio.__version__)}
