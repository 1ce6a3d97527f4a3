"""Settings: frozen dataclasses that check themselves once, round-trip through JSON, and the named presets."""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from escnn.errors import UsageError

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """From sound to log-mel picture. A window of ``clip_seconds`` becomes ``n_mels`` bands by ``frames`` columns."""

    sample_rate: int = 44_100  # Hz
    clip_seconds: float = 5.0
    n_fft: int = 2048  # samples
    hop_length: int = 512  # samples; 12 ms at 44.1 kHz
    n_mels: int = 128
    f_min: float = 20.0  # Hz
    f_max: float = 20_000.0  # Hz
    floor_db: float = -110.0  # relative to a full-scale sine; quieter is drawn as this

    def __post_init__(self) -> None:
        _check("sample_rate", self.sample_rate, 1_000, 384_000, "Hz")
        _check("clip_seconds", self.clip_seconds, 0.1, 60.0, "seconds")
        _check("n_fft", self.n_fft, 64, 16_384, "samples")
        _check("hop_length", self.hop_length, 16, self.n_fft, "samples")
        _check("n_mels", self.n_mels, 8, 512)
        _check("f_max", self.f_max, 100.0, self.sample_rate / 2, "Hz")
        _check("f_min", self.f_min, 0.0, self.f_max - 50.0, "Hz")
        _check("floor_db", self.floor_db, -160.0, -40.0, "dB")
        _check("n_fft x frames", self.n_fft * self.frames, 64, 2e7, "samples")
        _check("n_mels x frames", self.n_mels * self.frames, 8, 1e6, "values")  # 55,168 in the default

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return round(self.clip_seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Columns of the log-mel picture of one window (frames are centred on their time)."""
        return 1 + self.window_samples // self.hop_length


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A residual network: ``depths[i]`` basic blocks of ``widths[i]`` channels in stage i; stages halve the size."""

    widths: tuple[int, ...] = (48, 96, 192, 352)
    depths: tuple[int, ...] = (1, 1, 2, 2)
    stem_kernel: int = 5  # mel bands and frames
    shortcut: str = "average"  # "average": mean of 2x2 then 1x1 convolution; "strided": 1x1 convolution of stride 2
    pooling: str = "mean+max"  # over time, after the mean over mel bands; "mean": over both
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if not 1 <= len(self.widths) <= 6 or len(self.widths) != len(self.depths):
            raise UsageError(
                f"widths {self.widths!r:.60} and depths {self.depths!r:.60}: need one of each for 1 to 6 stages"
            )
        for width in self.widths:
            _check("widths", width, 1, 2048, "channels")
        for depth in self.depths:
            _check("depths", depth, 1, 64, "blocks")
        _check("stem_kernel", self.stem_kernel, 1, 15)
        if self.stem_kernel % 2 == 0:
            raise UsageError(f"stem_kernel {self.stem_kernel}: must be odd")
        _check_choice("shortcut", self.shortcut, ("average", "strided"))
        _check_choice("pooling", self.pooling, ("mean", "mean+max"))
        _check("dropout", self.dropout, 0.0, 0.9)


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """What happens to log-mels while training. Zero switches an ingredient off."""

    roll: bool = True  # the window starts at a random moment and wraps around
    speed: float = 0.25  # time stretched by up to exp(+-speed)
    pitch: float = 0.08  # mel axis stretched by up to this share
    pitch_shift: float = 0.03  # mel axis shifted by up to this share of its length
    gain_db: float = 8.0
    equalizer_db: float = 5.0  # a smooth random curve over frequency
    mixing: str = "power"  # "power": two sounds heard at once, loudness in mind; "mixup": weighted mean of the pictures
    mix_probability: float = 0.9  # share of batches
    mix_until: float = 0.85  # share of the training after which nothing is mixed: the network ends on single sounds
    mixup_alpha: float = 0.2  # Beta(alpha, alpha) of "mixup"
    masks: int = 2  # masks in time and as many in frequency
    mask_mels: int = 20  # widest, in bands
    mask_frames: int = 90  # widest, in frames

    def __post_init__(self) -> None:
        _check("speed", self.speed, 0.0, 0.7)
        _check("pitch", self.pitch, 0.0, 0.5)
        _check("pitch_shift", self.pitch_shift, 0.0, 0.5)
        _check("gain_db", self.gain_db, 0.0, 40.0, "dB")
        _check("equalizer_db", self.equalizer_db, 0.0, 40.0, "dB")
        _check_choice("mixing", self.mixing, ("power", "mixup"))
        _check("mix_probability", self.mix_probability, 0.0, 1.0)
        _check("mix_until", self.mix_until, 0.0, 1.0)
        _check("mixup_alpha", self.mixup_alpha, 0.01, 10.0)
        _check("masks", self.masks, 0, 10)
        _check("mask_mels", self.mask_mels, 0, 512, "bands")
        _check("mask_frames", self.mask_frames, 0, 4096, "frames")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides how a training goes; with the data and the machine, it decides the weights."""

    preset: str = "default"
    epochs: int = 100
    batch_size: int = 32
    optimizer: str = "muon"  # for convolutions, AdamW for the rest; "adamw": for all
    learning_rate: float = 3e-3  # the highest of the one-cycle schedule
    warmup: float = 0.1  # share of the steps in which the learning rate rises
    weight_decay: float = 0.5
    label_smoothing: float = 0.05
    precision: str = "auto"  # "bfloat16" where the machine multiplies it faster than "float32"
    ema_decay: float = 0.995  # of the running mean of the weights, a step; 0: none, the last weights count
    seed: int = 0
    fold: int = 5  # held out, reported; 0: nothing is held out
    validation_fold: int | None = None  # held out too; the epoch is chosen on it
    audio: AudioConfig = field(default_factory=AudioConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        _check("epochs", self.epochs, 1, 100_000)
        _check("batch_size", self.batch_size, 2, 4096, "clips")
        _check_choice("optimizer", self.optimizer, ("muon", "adamw"))
        _check_choice("precision", self.precision, ("auto", "float32", "bfloat16"))
        _check("learning_rate", self.learning_rate, 1e-7, 10.0)
        _check("warmup", self.warmup, 0.0, 0.9)
        _check("weight_decay", self.weight_decay, 0.0, 10.0)
        _check("label_smoothing", self.label_smoothing, 0.0, 0.9)
        _check("ema_decay", self.ema_decay, 0.0, 0.99999)
        _check("seed", self.seed, 0, 2**31 - 1)
        _check("fold", self.fold, 0, 5)
        if self.validation_fold is not None:
            _check("validation_fold", self.validation_fold, 1, 5)
            if self.validation_fold == self.fold:
                raise UsageError(
                    f"validation_fold {self.validation_fold} is the fold that is held out and reported",
                    hint="an epoch chosen on the reported fold makes its accuracy look better than it is; take another",
                )


def to_json(config: Any) -> dict[str, Any]:
    """A settings dataclass as JSON types; tuples become lists."""
    document: dict[str, Any] = dataclasses.asdict(
        config,
        dict_factory=lambda items: {key: list(value) if isinstance(value, tuple) else value for key, value in items},
    )
    return document


def from_json(cls: type[Config], document: Any, where: str = "config") -> Config:
    """Rebuild a settings dataclass; unknown keys, wrong types and values out of range raise `UsageError`."""
    if not isinstance(document, dict):
        raise UsageError(f"{where}: expected an object, found {type(document).__name__}")
    hints = get_type_hints(cls)
    unknown = sorted(set(document) - set(hints), key=str)
    if unknown:
        raise UsageError(f"{where}: unknown setting {unknown[0]!r:.60}", hint=f"known are {', '.join(hints)}")
    return cls(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in document.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    """`value` from JSON as the type that a field of a settings dataclass wants."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return from_json(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where) for item in value)
    if origin in (Union, types.UnionType):
        return None if value is None else _value(arguments[0], value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    if not (isinstance(kind, type) and isinstance(value, kind)) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {value!r:.60}")
    return value


def _check(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Refuse a number outside ``low..high`` (NaN is outside of everything)."""
    if not low <= value <= high:
        found = str(value)[:20] if isinstance(value, int) else f"{value:g}"  # a huge int cannot become a float
        raise UsageError(f"{name} {found}: must be between {low:g} and {high:g}{' ' if unit else ''}{unit}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} {value!r:.60}: must be one of {', '.join(choices)}")


PRESETS: dict[str, TrainConfig] = {
    "default": TrainConfig(),
    # Smaller and shorter: 2.7 million parameters in place of 5.4, 60 epochs in place of 100. So short a training does
    # without what keeps a long one from overfitting: changes of speed, dropout and a running mean of the weights.
    "quick": TrainConfig(
        preset="quick",
        epochs=60,
        ema_decay=0.0,
        model=ModelConfig(widths=(32, 64, 128, 256), dropout=0.0),
        augment=AugmentConfig(speed=0.0),
    ),
    # The network and settings of the project that escnn re-creates (a ResNet-34 of 21 million parameters), without its
    # choice of the epoch on the test fold. Its input was not normalised; ours always is.
    "seed-resnet34": TrainConfig(
        preset="seed-resnet34",
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


def preset(name: str) -> TrainConfig:
    """The settings called `name`; `UsageError` names the ones there are."""
    _check_choice("preset", name, tuple(PRESETS))
    return PRESETS[name]
