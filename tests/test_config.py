"""Settings check themselves, become JSON and back, and are changed by dotted names."""

import json
import math
from typing import Annotated, Any, Literal

import msgspec
import pytest

from escnn.config import Settings, between, changed, dotted, from_json, to_json
from escnn.errors import UsageError


class Room(Settings, frozen=True):
    width: Annotated[float, between(1.0, 9.0)] = 3.0  # metres
    walls: Literal["brick", "felt"] = "felt"


class Studio(Settings, frozen=True):
    name: str = "small"
    seats: Annotated[int, between(0, 100)] = 2
    heights: tuple[Annotated[int, between(1, 5)], ...] = (1, 2)
    year: Annotated[int, between(1900, 2100)] | None = None
    open: bool = True
    room: Room = Room()


def test_settings_survive_json() -> None:
    studio = Studio(seats=7, heights=(3,), year=2001, room=Room(width=4.5, walls="brick"))
    document = json.loads(json.dumps(to_json(studio)))
    assert document["room"] == {"width": 4.5, "walls": "brick"}
    assert from_json(Studio, document) == studio
    assert from_json(Studio, {}) == Studio()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seats": -1}, "seats -1: must be at least 0"),
        ({"seats": 10**400}, "seats 1000.*: must be at most 100"),
        ({"seats": "3"}, "seats"),
        ({"seats": True}, "seats"),
        ({"seats": 3.5}, "seats"),
        ({"heights": (1, 6)}, "heights"),
        ({"year": 3}, "year 3"),
        ({"open": 1}, "open"),
    ],
)
def test_a_value_out_of_range_is_refused_not_clamped(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Studio(**wrong)
    with pytest.raises(UsageError, match=next(iter(wrong))):
        from_json(Studio, wrong)
    with pytest.raises(UsageError, match=next(iter(wrong))):
        msgspec.structs.replace(Studio(), **wrong)


@pytest.mark.parametrize("width", [math.nan, math.inf, 0.0, 9.001, 10**400])
def test_no_number_is_beyond_a_bound(width: float) -> None:
    with pytest.raises(UsageError, match="width"):
        Room(width=width)
    with pytest.raises(UsageError, match=r"room\.width"):
        from_json(Studio, {"room": {"width": width}})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"seatz": 3}, "unknown setting 'seatz'"),
        ({"seats": "3"}, "seats: expected int, got str"),
        ({"heights": [1, "x"]}, r"heights\[1\]: expected int"),
        ({"room": 3}, "room: expected object"),
        ({"room": {"walls": "glass"}}, r"room\.walls: must be one of brick, felt"),
        ({"room": {"doors": 1}}, "room: unknown setting 'doors'"),
        ({"room": {"walls": "\ud800"}}, "holds text that is no Unicode"),
        ({"\ud800": 1}, "holds text that is no Unicode"),
        ([], "expected object"),
        (None, "expected object"),
    ],
)
def test_json_of_the_wrong_shape_names_the_setting(document: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"^plan.json,? ?.*{said}") as caught:
        from_json(Studio, document, "plan.json")
    if "unknown" in said:
        assert ("width" if "room" in said else "seats") in (caught.value.hint or "")


@pytest.mark.parametrize(
    "document",
    [{"x" * 100_000: 1}, {"name": ["x" * 100_000]}, {"room": {"walls": "x" * 100_000}}, {"heights": [9] * 100_000}],
)
def test_a_refused_setting_is_quoted_only_in_part(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        from_json(Studio, document)
    assert len(caught.value.message) < 400
    if "room" in document:
        with pytest.raises(UsageError) as caught:
            Room(**document["room"])
        assert len(caught.value.message) < 400


def test_settings_are_changed_by_their_dotted_names() -> None:
    asked = ["seats=7", " room.width=4", "room.walls=brick", "heights=[3,4]", "year=null", "open=false", "name=7b"]
    assert changed(Studio(year=2001), asked) == Studio("7b", 7, (3, 4), None, open=False, room=Room(4.0, "brick"))
    assert changed(Studio(), []) == Studio()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seatz=3", "seatz=3: no such setting"),
        ("seats", "no such setting"),
        ("room=3", "no such setting"),
        ("room.width.more=3", "no such setting"),
        ("room.walls=glass", "must be one of brick, felt"),
        ("seats=many", "seats: expected int"),
        ("seats=" + "[" * 100_000, "seats: expected int"),
        ("x" * 100_000, "no such setting"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_clear_error(change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        changed(Studio(), [change])
    assert caught.value.message.startswith("--set")
    assert len(caught.value.message) < 400


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(UsageError) as caught:
        changed(Studio(), ["room.widht=4"])
    assert caught.value.hint == "did you mean room.width?"


def test_nested_settings_are_flattened_to_dotted_names() -> None:
    assert list(dotted(to_json(Studio()))) == ["name", "seats", "heights", "year", "open", "room.width", "room.walls"]
