"""How settings check themselves, become JSON and back, and are changed by their dotted names."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from escnn.errors import UsageError, closest

_NO_UNICODE = "holds text that is no Unicode"
Config = TypeVar("Config", bound=msgspec.Struct)


def between(low: float, high: float) -> msgspec.Meta:
    """The bounds of a number, for its annotation; both are allowed values."""
    return msgspec.Meta(ge=low, le=high)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of settings. Its fields say what they may hold; a value that they may not raises `UsageError`."""

    def __post_init__(self) -> None:
        for name, kind in _fields(type(self)).items():
            value = getattr(self, name)
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                raise UsageError(f"{name} {_short(value)}: {_expected(kind, error)}") from error
            except UnicodeEncodeError as error:
                raise UsageError(f"{name}: {_NO_UNICODE}") from error


def to_json(settings: msgspec.Struct) -> dict[str, Any]:
    """Settings as JSON types; tuples become lists."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return document


def from_json(cls: type[Config], document: Any, where: str = "config") -> Config:
    """Rebuild settings; unknown keys, wrong types and values out of range raise `UsageError`."""
    try:
        return msgspec.convert(document, cls)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        place = path.strip("`$").removeprefix(".")
        kind = _kind_at(cls, place)
        unknown = message.startswith("Object contains unknown field")
        hint = f"known are {', '.join(_fields(kind))}" if unknown else None
        said = message.replace("Object contains unknown field", "unknown setting").replace("`", "'")
        said = f"{said:.100}" if unknown else _expected(kind, error)
        raise UsageError(f"{where}{f', {place}' if place else ''}: {said}", hint=hint) from error
    except UnicodeEncodeError as error:  # half of a pair of surrogates, which JSON and file names can hold
        raise UsageError(f"{where}: {_NO_UNICODE}") from error


def changed(settings: Config, changes: Iterable[str]) -> Config:
    """`settings` with some changed by their dotted names: ``augment.gain_db=6``, ``model.widths=[16,32]``.

    Raises:
        UsageError: no such setting, or a value that it may not have.
    """
    document = to_json(settings)
    for change in changes:
        name, equals, text = change.partition("=")
        *groups, last = name.strip().split(".")
        group: Any = document
        for part in groups:
            group = group.get(part) if isinstance(group, dict) else None
        if not isinstance(group, dict) or last not in group or isinstance(group[last], dict) or not equals:
            known = dotted(to_json(settings))
            hint = closest(name.strip(), known) or f"NAME=VALUE, with NAME one of {', '.join(known)}"
            raise UsageError(f"--set {change:.80}: no such setting", hint=hint)
        group[last] = _parsed(text)
    return from_json(type(settings), document, "--set")


def dotted(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _parsed(text: str) -> Any:
    """A value as JSON has it; what is no JSON is a word."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@functools.cache
def _fields(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _kind_at(cls: type, place: str) -> Any:
    """The type of the field that a path of msgspec's, such as ``augment.mixing``, leads to."""
    kind: Any = cls
    for part in place.split(".") if place else ():
        kind = _fields(kind).get(part.split("[")[0]) if isinstance(kind, type) else kind
    return kind


def _expected(kind: Any, error: msgspec.ValidationError) -> str:
    """What was expected, in words."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(bare) is Literal:
        return f"must be one of {', '.join(map(str, get_args(bare)))}"
    message = str(error).partition(" - at ")[0].replace("`", "")
    return (
        message.replace("Expected int >=", "must be at least")
        .replace("Expected float >=", "must be at least")
        .replace("Expected int <=", "must be at most")
        .replace("Expected float <=", "must be at most")
        .replace("Expected", "expected")
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value!s:.60}"
