"""A model file at work in ONNX Runtime: log-mels, scores and feature maps on the CPU, without torch."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else its import writes an id of the machine, to report with

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from escnn.audio.log_mel import LogMel
from escnn.cache import cached_file
from escnn.model.frames_without_head import FrameClassifier, frame_scores_without_head
from escnn.model.model_file import ModelFile
from escnn.version import __version__

if TYPE_CHECKING:
    from escnn.network.runtime import TorchRuntime

Array = NDArray[np.float32]
BATCH_WINDOWS = 2  # for one core; four are no faster and take more memory
GRAPH_VERSION = 2  # of `model.onnx_graph`; another one makes cached graphs stale


class OnnxRuntime:
    """The network of a model file as an ONNX graph, ready to compute with so many `threads`, by default all cores.

    Every thread computes a batch of its own: where several share one, they wait for each other at every layer, longest
    for the one whose core reads the next sound.
    """

    batch_windows = BATCH_WINDOWS

    def __init__(self, model: ModelFile, *, threads: int | None = None) -> None:
        self.card, self.threads = model.card, threads or usable_cores()
        self.versions = {"escnn": __version__, "onnxruntime": onnxruntime.__version__}
        self.log_mels = LogMel(model.card.audio)  # waveforms (windows, time) to dB (windows, mels, frames)
        self._model = model
        self._session = self._open_cached("scores", scores=True)

    def scores(self, log_mels: Array) -> Array:
        """Scores (windows, classes), rows adding up to one, of log-mels in dB, (windows, mels, frames)."""
        if len(log_mels) <= BATCH_WINDOWS or self.threads == 1:
            return self._scores(log_mels)
        parts = [log_mels[start : start + BATCH_WINDOWS] for start in range(0, len(log_mels), BATCH_WINDOWS)]
        with ThreadPoolExecutor(self.threads) as pool:
            return np.concatenate(list(pool.map(self._scores, parts)))

    def feature_maps(self, log_mel: Array) -> dict[str, Array]:
        """Feature maps of one window's log-mel, (mels, frames): layer -> (channels, mels, frames), in order."""
        layers = list(self.card.layers)
        maps = self._session_with_maps.run(layers, {"log_mel": log_mel[None]})
        return {layer: values[0] for layer, values in zip(layers, maps, strict=True)}

    def frame_scores(self, log_mels: Array) -> Array:
        """Scores (batch, classes, frames), each 0 to 1, of log-mels in dB (batch, mels, frames): what sounds when.

        They lie ``card.frame_seconds`` apart. Without a frame head they are from `frame_scores_without_head`.
        """
        (values,) = self._session_of_frames.run(None, {"log_mel": log_mels})
        return values if self.card.frames is not None else frame_scores_without_head(values, self._classifier)

    def class_activation(self, log_mel: Array, class_ids: Sequence[int]) -> Array:
        """What in a log-mel, (mels, frames), speaks for each class: (classes, mels, frames) of the last stage's cells;
        see `FrameClassifier.activation`.
        """
        (maps,) = self._session_of_last_maps.run(None, {"log_mel": log_mel[None]})
        return self._classifier.activation(maps[0], class_ids)

    def _scores(self, log_mels: Array) -> Array:
        scores: Array = self._session.run(["scores"], {"log_mel": log_mels})[0]
        return scores

    @property
    def parallel(self) -> int:
        """How many calls of `scores` compute at once, each with `batch_windows`."""
        return self.threads

    @property
    def has_saliency(self) -> bool:
        """Whether `saliency` and `deletion` can be had: whether torch is installed."""
        return importlib.util.find_spec("torch") is not None

    def saliency(self, log_mel: Array, class_ids: Sequence[int]) -> Array:
        """The evidence for each class in one window's log-mel: (classes, mels, frames), 0 to 1. It takes torch."""
        return self._torch.saliency(log_mel, class_ids)

    def deletion(self, log_mel: Array, salient: Array, class_id: int) -> tuple[float, float]:
        """The score of a class without its evidence, and without as much at random. It takes torch."""
        return self._torch.deletion(log_mel, salient, class_id)

    @cached_property
    def _session_with_maps(self) -> onnxruntime.InferenceSession:
        return self._open(graph_bytes(self._model, feature_maps=True))

    @cached_property
    def _session_of_frames(self) -> onnxruntime.InferenceSession:
        return self._open_cached("frames", scores=False, frames=True)

    @cached_property
    def _session_of_last_maps(self) -> onnxruntime.InferenceSession:
        return self._open_cached("last maps", scores=False, last_maps=True)

    @cached_property
    def _classifier(self) -> FrameClassifier:
        return FrameClassifier.of(self._model)

    @cached_property
    def _torch(self) -> TorchRuntime:
        from escnn.network.runtime import TorchRuntime, choose_device

        return TorchRuntime(self._model, choose_device("cpu"))

    def _open_cached(self, kind: str, **outputs: bool) -> onnxruntime.InferenceSession:
        """The session of a graph, from the cache where the model is that of a file."""
        if self._model.is_in_memory:
            return self._open(graph_bytes(self._model, **outputs))
        key = hashlib.sha256(f"{GRAPH_VERSION} {kind} {self.card.sha256}".encode()).hexdigest()[:32]
        graph = cached_file("graphs", f"{key}.onnx", lambda: graph_bytes(self._model, **outputs))
        try:
            return self._open(graph)
        except Exception:  # whatever ONNX Runtime makes of a damaged cache
            return self._open(graph_bytes(self._model, **outputs))

    def _open(self, graph: bytes | Path) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def graph_bytes(model: ModelFile, **outputs: bool) -> bytes:
    """The graph of a model file, as the content of an ``.onnx`` file; `outputs` are those of `build_graph`."""
    from escnn.model.onnx_graph import build_graph  # takes a tenth of a second to import

    graph: bytes = build_graph(model, **outputs).SerializeToString()
    return graph


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
