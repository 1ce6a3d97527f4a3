"""Whatever happens to a file, reading it ends in a result or in one error of ours, soon, and in little memory.

A few hundred damaged files and whole commands, the same ones every time; `make fuzz` tries as many as one likes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from random import Random

import pytest
from fuzz import seeds
from fuzz.child import Child
from fuzz.commands import CPU_SECONDS, command_of
from fuzz.draws import DRAWS, examples
from hypothesis import event, given

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and signals of the child are those of POSIX")

Subjects = dict[str, seeds.Subject]


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with Child(tmp_path_factory.mktemp("fuzz")) as child:
        yield child


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    """Files of every kind."""
    return {**seeds.sounds(), **seeds.documents(), **seeds.weights(tmp_path_factory.mktemp("weights"))}


def check(child: Child, subject: seeds.Subject, rng: Random) -> None:
    content = subject.damaged(rng)
    outcome = child.read(subject.reader, content)
    event(outcome.said)  # for --hypothesis-show-statistics
    if outcome.trouble:
        kept = child.folder / f"{subject.reader}-{hashlib.sha256(content).hexdigest()[:12]}"
        kept.write_bytes(content)
        pytest.fail(f"{kept}: {outcome.said}\n{outcome.trouble}")


@pytest.mark.parametrize("kind", [*sorted(seeds.SOUNDS), "model", "model-pickled", "state", "state-trapped"])
@examples(25)
@given(rng=DRAWS)
def test_a_damaged_sound_or_model_is_read_or_one_clear_error_and_runs_no_code(
    child: Child, subjects: Subjects, kind: str, rng: Random
) -> None:
    check(child, subjects[kind], rng)


@pytest.mark.parametrize("kind", ["esc50.csv", "config.json"])
@examples(50)
@given(rng=DRAWS)
def test_a_damaged_document_is_understood_or_one_clear_error(
    child: Child, subjects: Subjects, kind: str, rng: Random
) -> None:
    check(child, subjects[kind], rng)


def test_a_whole_file_of_every_kind_is_read_and_no_trap_is_sprung(child: Child, subjects: Subjects) -> None:
    traps = [subjects[kind] for kind in ("model-pickled", "state-trapped")]
    whole = {kind: subject for kind, subject in subjects.items() if subject not in traps}
    said = {kind: child.read(subject.reader, subject.whole[0]).said for kind, subject in whole.items()}
    assert said == {
        **dict.fromkeys(seeds.SOUNDS, "waveform"),
        **{"esc50.csv": "data set", "config.json": "settings", "model": "model", "state": "state"},
    }
    assert {child.read(trap.reader, content).said for trap in traps for content in trap.whole} == {"ModelError"}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_whole_command_with_hostile_inputs_names_and_options_ends_as_it_may(child: Child, command: str) -> None:
    numbers = [number for number in range(150) if command_of(number) == command]
    outcomes = {
        number: child.read("command", json.dumps([7, number]).encode(), CPU_SECONDS[command]) for number in numbers
    }
    wrong = [f"--seed 7 --case {number}: {outcome.trouble}" for number, outcome in outcomes.items() if outcome.trouble]
    assert not wrong, "\n".join(wrong)
    assert {f"{command} {code}" for code in (0, 2, 4)} <= {outcome.said for outcome in outcomes.values()}


@pytest.mark.slow
def test_pages_and_trainings_with_hostile_inputs_end_as_they_may(child: Child) -> None:
    numbers = [number for number in range(500) if command_of(number) in ("visualize", "train")]
    for number in numbers:
        outcome = child.read("command", json.dumps([7, number]).encode(), CPU_SECONDS[command_of(number)])
        assert not outcome.trouble, f"--seed 7 --case {number}: {outcome.trouble}"


@pytest.mark.parametrize(
    ("what", "noticed"),
    [
        ("hang", "unexpected hang"),
        ("crash", "unexpected SIGSEGV"),
        ("memory", "unexpected MemoryError"),
        ("code", "unexpected code"),
        ("stdout", "unexpected stdout"),  # where `predict` writes JSON
        ("endless message", "EscnnError"),
    ],
)
def test_trouble_is_noticed_and_the_next_file_is_read_all_the_same(child: Child, what: str, noticed: str) -> None:
    outcome = child.read("misbehaviour", what.encode(), cpu_seconds=0.5)
    assert outcome.said == noticed
    assert outcome.trouble
    assert child.read("misbehaviour", b"nothing").said == "no trouble"
