"""The settings of a training, and the named presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from escnn.audio.log_mel import AudioConfig
from escnn.config import Settings, between, from_json, to_json
from escnn.errors import UsageError, closest
from escnn.model.architecture import ModelConfig
from escnn.model.frames import FrameHeadConfig


class AugmentConfig(Settings, frozen=True):
    """What happens to log-mels while training. Zero switches an ingredient off."""

    roll: bool = True  # the window starts at a random moment and wraps around
    speed: Annotated[float, between(0.0, 0.7)] = 0.25  # time stretched by up to exp(+-speed)
    pitch: Annotated[float, between(0.0, 0.5)] = 0.08  # mel axis stretched by up to this share
    pitch_shift: Annotated[float, between(0.0, 0.5)] = 0.03  # mel axis shifted by up to this share of its length
    gain_db: Annotated[float, between(0.0, 40.0)] = 8.0
    equalizer_db: Annotated[float, between(0.0, 40.0)] = 5.0  # a smooth random curve over frequency
    # "power": two sounds heard at once, loudness in mind; "mixup": weighted mean of the log-mels
    mixing: Literal["power", "mixup"] = "power"
    mix_probability: Annotated[float, between(0.0, 1.0)] = 0.9  # share of batches
    # share of the training after which nothing is mixed: the network ends on single sounds
    mix_until: Annotated[float, between(0.0, 1.0)] = 0.85
    mixup_alpha: Annotated[float, between(0.01, 10.0)] = 0.2  # Beta(alpha, alpha) of "mixup"
    masks: Annotated[int, between(0, 10)] = 2  # masks in time and as many in frequency
    mask_mels: Annotated[int, between(0, 512)] = 20  # widest, in bands
    mask_frames: Annotated[int, between(0, 4096)] = 90  # widest, in frames


class FramesConfig(Settings, frozen=True):
    """The last phase of a training: on the finished network, which changes no more, a head learns when sounds begin and
    end. It learns on mixtures of the training clips, in an epoch as many as there are windows of them.
    """

    epochs: Annotated[int, between(0, 100_000)] = 0  # 0: no frame head
    passes: Annotated[int, between(1, 100)] = 2  # over the mixtures of an epoch
    batch_size: Annotated[int, between(1, 4096)] = 32  # mixtures
    learning_rate: Annotated[float, between(1e-7, 10.0)] = 2e-3  # peak of the one-cycle schedule
    weight_decay: Annotated[float, between(0.0, 10.0)] = 0.01
    dropout: Annotated[float, between(0.0, 0.9)] = 0.5
    nothing: Annotated[float, between(0.0, 1.0)] = 0.1  # share of mixtures without a sound of any class
    head: FrameHeadConfig = FrameHeadConfig()


class TrainConfig(Settings, frozen=True):
    """Everything that decides how a training goes; with the data and the machine, it decides the weights."""

    preset: str = "default"
    epochs: Annotated[int, between(1, 100_000)] = 100
    batch_size: Annotated[int, between(2, 4096)] = 32  # windows
    optimizer: Literal["muon", "adamw"] = "muon"  # for convolutions, AdamW for the rest; "adamw": for all
    learning_rate: Annotated[float, between(1e-7, 10.0)] = 3e-3  # peak of the one-cycle schedule
    warmup: Annotated[float, between(0.0, 0.9)] = 0.1  # share of the steps in which the learning rate rises
    weight_decay: Annotated[float, between(0.0, 10.0)] = 0.5
    label_smoothing: Annotated[float, between(0.0, 0.9)] = 0.05
    # "auto": bfloat16 where the machine multiplies it faster than float32
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    ema_decay: Annotated[float, between(0.0, 0.99999)] = 0.995  # of the weights' moving average, a step; 0: none
    seed: Annotated[int, between(0, 2**31 - 1)] = 0
    fold: Annotated[int, between(0, 1000)] = 5  # the test fold, reported; 0: none
    validation_fold: Annotated[int, between(1, 1000)] | None = None  # held out, too; the epoch is chosen on it
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    frames: FramesConfig = FramesConfig()

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.frames.epochs and len(self.model.widths) < 2:
            raise UsageError(
                "frames.epochs: a frame head takes a network of two stages or more", hint="set frames.epochs to 0"
            )
        if self.validation_fold is not None and self.validation_fold == self.fold:
            raise UsageError(
                f"validation_fold {self.validation_fold} is the test fold, which is reported",
                hint="an epoch chosen on the reported fold makes its accuracy look better than it is; take another",
            )


PRESETS: dict[str, TrainConfig] = {
    "default": TrainConfig(frames=FramesConfig(epochs=20)),
    # Smaller and shorter: 2.7 million parameters in place of 5.4, 60 epochs in place of 100. So short a training does
    # without what keeps a long one from overfitting: changes of speed, dropout and a moving average of the weights.
    "quick": TrainConfig(
        preset="quick",
        epochs=60,
        ema_decay=0.0,
        model=ModelConfig(widths=(32, 64, 128, 256), dropout=0.0),
        augment=AugmentConfig(speed=0.0),
        frames=FramesConfig(epochs=8),
    ),
    # The network and settings of the model project (a ResNet-34 of 21 million parameters), without its choice of the
    # epoch on the test fold. Its input was not normalized; ours always is.
    "baseline-resnet34": TrainConfig(
        preset="baseline-resnet34",
        epochs=100,
        batch_size=32,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        label_smoothing=0.1,
        precision="float32",
        ema_decay=0.0,
        audio=AudioConfig(n_fft=1024, hop_length=512, f_min=0.0, f_max=22_050.0),
        model=ModelConfig(
            widths=(64, 128, 256, 512),
            depths=(3, 4, 6, 3),
            stem_kernel=7,
            shortcut="strided",
            pooling="mean",
            dropout=0.5,
        ),
        augment=AugmentConfig(
            roll=False,
            speed=0.0,
            pitch=0.0,
            pitch_shift=0.0,
            gain_db=0.0,
            equalizer_db=0.0,
            mixing="mixup",
            mix_probability=0.3,
            mix_until=1.0,
            masks=1,
            mask_mels=30,
            mask_frames=80,
        ),
    ),
}
_OLD_PRESETS = {"seed-resnet34": "baseline-resnet34"}  # names of 0.1.0


def preset(name: str) -> TrainConfig:
    """The settings called `name`; `UsageError` names the ones there are."""
    name = _OLD_PRESETS.get(name, name)
    if name not in PRESETS:
        raise UsageError(f"preset {name!r:.60}: must be one of {', '.join(PRESETS)}", hint=closest(name, PRESETS))
    return PRESETS[name]


def with_changes(start: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """`start` with some fields changed, nested ones by dictionaries: ``{"epochs": 3, "augment": {"gain_db": 6}}``.

    Raises:
        UsageError: no such setting, or a value that it may not have.
    """
    document = to_json(start)
    for name, value in changes.items():
        group = document.get(name)
        document[name] = {**group, **value} if isinstance(group, dict) and isinstance(value, Mapping) else value
    return from_json(TrainConfig, document, "settings")
