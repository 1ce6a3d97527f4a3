"""Train a convolutional network to name environmental sounds, and see what it hears."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from escnn.version import __version__

if TYPE_CHECKING:
    from escnn.analysis.analysis import Analysis, analyze
    from escnn.analysis.recording.recording import RecordingAnalysis, analyze_recording
    from escnn.audio.decoding import Waveform, load_audio
    from escnn.detection.detections import Detections, detect
    from escnn.detection.detector import Event
    from escnn.evaluation.annotations.evaluation import DetectionEvaluation
    from escnn.evaluation.annotations.protocol import evaluate_annotations
    from escnn.evaluation.evaluation import Evaluation
    from escnn.evaluation.protocol import evaluate, evaluate_runs
    from escnn.inference.classifier import Classifier
    from escnn.inference.prediction import Failure, Prediction
    from escnn.runs.run import EpochMetrics, Run
    from escnn.runs.settings import TrainConfig
    from escnn.training.pipeline import cross_validate, resume, train

_HOMES = {
    "Analysis": "analysis.analysis",
    "Classifier": "inference.classifier",
    "DetectionEvaluation": "evaluation.annotations.evaluation",
    "Detections": "detection.detections",
    "EpochMetrics": "runs.run",
    "Evaluation": "evaluation.evaluation",
    "Event": "detection.detector",
    "Failure": "inference.prediction",
    "Prediction": "inference.prediction",
    "RecordingAnalysis": "analysis.recording.recording",
    "Run": "runs.run",
    "TrainConfig": "runs.settings",
    "Waveform": "audio.decoding",
    "analyze": "analysis.analysis",
    "analyze_recording": "analysis.recording.recording",
    "cross_validate": "training.pipeline",
    "detect": "detection.detections",
    "evaluate": "evaluation.protocol",
    "evaluate_annotations": "evaluation.annotations.protocol",
    "evaluate_runs": "evaluation.protocol",
    "load_audio": "audio.decoding",
    "resume": "training.pipeline",
    "train": "training.pipeline",
}
__all__ = [  # noqa: RUF022 - in the order of the imports above
    "Analysis", "analyze", "RecordingAnalysis", "analyze_recording", "Waveform", "load_audio", "Detections", "Event",
    "detect", "DetectionEvaluation", "evaluate_annotations", "Evaluation", "evaluate", "evaluate_runs", "Classifier",
    "Failure", "Prediction", "EpochMetrics", "Run", "TrainConfig", "cross_validate", "resume", "train", "__version__",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Public names, imported when they are first used: `import escnn` itself costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"escnn.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'escnn' has no attribute {name!r}")
