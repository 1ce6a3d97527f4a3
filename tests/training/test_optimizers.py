"""Which weights are moved by what, at which rate, in which precision, and their moving average."""

import math
import warnings
from pathlib import Path

import msgspec
import pytest
import torch
from conftest import SMALL_AUDIO, SMALL_TRAINING

from escnn.errors import UsageError
from escnn.network.resnet import ResNet
from escnn.runs.settings import TrainConfig
from escnn.training.muon import Muon
from escnn.training.optimizers import choose_precision, follow_schedule, make_optimizers, update_ema

CPU = torch.device("cpu")


def of(**changes: object) -> TrainConfig:
    return msgspec.structs.replace(SMALL_TRAINING, **changes)


def test_muon_moves_convolutions_adamw_the_rest_and_nothing_is_left_out() -> None:
    network = ResNet(SMALL_TRAINING.model, 3)
    muon, adamw = make_optimizers(network, of(optimizer="muon"))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_muon, by_adamw = (
        {names[id(weight)] for group in optimizer.param_groups for weight in group["params"]}
        for optimizer in (muon, adamw)
    )
    assert isinstance(muon, Muon)
    assert {"layer1.block0.conv1.weight", "layer1.block0.conv2.weight"} <= by_muon
    assert {"conv1.conv.weight", "classify.weight", "classify.bias", "conv1.norm.weight"} <= by_adamw
    assert by_muon.isdisjoint(by_adamw)
    assert by_muon | by_adamw == set(names.values())
    no_decay = {names[id(weight)] for weight in adamw.param_groups[1]["params"]}
    assert adamw.param_groups[1]["weight_decay"] == 0.0
    assert {"classify.bias", "conv1.norm.weight"} <= no_decay
    assert "classify.weight" not in no_decay
    assert len(make_optimizers(network, of(optimizer="adamw"))) == 1


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 0.35, 0.9])
@pytest.mark.parametrize("steps", [2, 3, 7, 100, 1_001])
def test_the_schedule_is_the_one_cycle_of_torch_to_the_last_bit(steps: int, warmup: float) -> None:
    config = of(warmup=warmup)
    ours, theirs = (make_optimizers(ResNet(SMALL_TRAINING.model, 3), config) for _ in range(2))
    cycles = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            config.learning_rate,
            total_steps=steps,
            pct_start=warmup,
            cycle_momentum=isinstance(optimizer, torch.optim.AdamW),
        )
        for optimizer in theirs
    ]
    for step in range(steps):
        rate = follow_schedule(ours, config.learning_rate, config.warmup, step, steps)
        for mine, other in zip(ours, theirs, strict=True):
            for group, expected in zip(mine.param_groups, other.param_groups, strict=True):
                assert group["lr"] == expected["lr"] == rate
                assert group.get("betas") == expected.get("betas")
                assert group.get("momentum") == expected.get("momentum")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that no optimizer moved meanwhile
            for cycle in cycles:
                cycle.step()


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 0.1), (1, 0.9), (2, 0.5), (10, 0.1), (4, 0.25)])
def test_where_the_one_cycle_of_torch_ends_in_an_error_or_learns_nothing_the_first_step_is_at_the_peak(
    steps: int, warmup: float
) -> None:
    config = of(warmup=warmup)
    (adamw,) = make_optimizers(ResNet(SMALL_TRAINING.model, 3), of(optimizer="adamw"))
    rates = [follow_schedule([adamw], config.learning_rate, config.warmup, step, steps) for step in range(steps)]
    assert rates[0] == config.learning_rate
    assert rates == sorted(rates, reverse=True)


def instructions() -> set[str] | None:
    """What the kernel says that the processor can do; None where it does not say it this way."""
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return None


def test_precision_is_what_was_asked_for_and_auto_is_one_that_the_machine_has() -> None:
    assert choose_precision(of(precision="float32"), CPU) is torch.float32
    assert choose_precision(of(precision="bfloat16"), CPU) is torch.bfloat16
    known = instructions()
    if known is None or "avx512f" not in known:
        pytest.skip("only x86 on Linux lists its instructions by these names")
    fast = "avx512_bf16" in known or "amx_tile" in known
    assert choose_precision(of(precision="auto"), CPU) is (torch.bfloat16 if fast else torch.float32)


def test_windows_too_short_for_bfloat16_are_computed_in_float32() -> None:
    short = of(audio=msgspec.structs.replace(SMALL_AUDIO, clip_seconds=0.1))
    assert choose_precision(short, CPU) is torch.float32
    with pytest.raises(UsageError, match=r"bfloat16: windows of 0\.1 s are too short"):
        choose_precision(msgspec.structs.replace(short, precision="bfloat16"), CPU)


def test_the_moving_average_is_the_textbook_formula_after_its_start() -> None:
    average, now = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        average.weight.fill_(1.0)
        now.weight.fill_(0.0)
    update_ema(average, now, decay=0.9, step=10_000)
    assert math.isclose(average.weight.item(), 0.9, rel_tol=1e-6)
    update_ema(average, now, decay=0.9, step=0)
    assert math.isclose(average.weight.item(), 0.09, rel_tol=1e-6)  # a tenth: its start is soon forgotten
