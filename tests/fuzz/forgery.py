"""Files that are well formed and lie: documents, tables, model cards and pickles with forged values."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
from collections.abc import Sequence
from random import Random
from typing import Any

from fuzz.damage import mutate

EXTREME_VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, 10**400),
    *(0.5, -0.0, 1e-320, 1e30, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    *(
        True,
        False,
        None,
        "",
        "x" * 5_000,
        "\0",
        "\ud800",
        "../../etc",
        "1",
        [],
        {},
        [[]],
        [1, "a", None],
        {"a": {"b": 1}},
    ),
)

EXTREME_CELLS = (
    *(
        b"",
        b"0",
        b"-1",
        b"1",
        b"6",
        b"1e3",
        b"1.5",
        b"nan",
        b"inf",
        b"9" * 19,
        b"9" * 400,
        b"0x1",
        b"True",
        b'"',
        b"\0",
    ),
    *(
        b"..",
        b".",
        b"a/b.wav",
        b"/etc/passwd",
        b"x" * 300,
        b"x" * 70_000,
        b"1-0-A-0.wav",
        b"cat",
        b"\xff",
        b"\x1b[2J",
        b"=1",
    ),
)


def mutate_document(document: Any, rng: Random) -> Any:
    """A JSON document with one to three of its values forged, dropped, doubled, or new ones beside them."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        inner = [node for node in _nodes(document) if node]
        if not inner:
            break
        node = rng.choice(inner)
        key = rng.choice(sorted(node)) if isinstance(node, dict) else rng.randrange(len(node))
        what = rng.randrange(6)
        if what == 0:
            del node[key]
        elif what == 1 and isinstance(node, dict):
            node[rng.choice(("extra", "", "\0", "__class__", "format"))] = copy.deepcopy(node[key])
        elif what == 1:
            node.append(copy.deepcopy(node[key]))
        else:
            node[key] = copy.deepcopy(rng.choice(EXTREME_VALUES))
    return document


def _nodes(document: Any) -> list[Any]:
    """Every dictionary and list in a document, itself among them."""
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return [document] * isinstance(document, (dict, list)) + [node for child in children for node in _nodes(child)]


def mutate_json(content: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """A JSON file with forged values, or nested deeper than a parser likes, or with damaged bytes."""
    what = rng.randrange(8)
    if what < 5:
        return json.dumps(mutate_document(json.loads(content), rng)).encode()
    if what == 5:
        depth = rng.choice((10, 1_000, 200_000))
        place = rng.randrange(len(content))
        return content[:place] + rng.choice((b"[", b'{"a":')) * depth + content[place:]
    return mutate(content, rng, others)


def mutate_table(content: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """A CSV file with forged cells, or with damaged bytes."""
    if rng.random() < 0.4:
        return mutate(content, rng, others)
    rows = [line.split(b",") for line in content.splitlines()]
    for _ in range(rng.randint(1, 2)):
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice(EXTREME_CELLS)
    return b"\n".join(b",".join(row) for row in rows)


def mutate_model(content: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """A safetensors file with a forged card, forged shapes, types and offsets, or damaged bytes."""
    if rng.random() < 0.4:
        return mutate(content, rng, others)
    length = int.from_bytes(content[:8], "little")
    if rng.random() < 0.2:
        return _forge_weights(content, 8 + length, rng)
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.6:
        card = mutate_document(json.loads(header["__metadata__"]["escnn"]), rng)
        header["__metadata__"]["escnn"] = json.dumps(card)
    else:
        header = mutate_document(header, rng)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _forge_weights(content: bytes, start: int, rng: Random) -> bytes:
    """Extreme float32 values over some of the weights, which begin at `start`."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        place = start + 4 * rng.randrange((len(data) - start) // 4)
        data[place : place + 4] = struct.pack(
            "<f", rng.choice((0.0, -1.0, -1e6, 1e20, -3e38, 3e38, 1e-40, float("nan")))
        )
    return bytes(data)


def mutate_state(content: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """Training state with damaged bytes, or with a damaged member whose checksum is right again."""
    if rng.random() < 0.3 or not zipfile.is_zipfile(io.BytesIO(content)):
        return mutate(content, rng, others)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        names = source.namelist()
        pickled = next(name for name in names if name.endswith("data.pkl"))
        chosen = pickled if rng.random() < 0.7 else rng.choice(names)
        packed = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        for name in names:
            member = source.read(name)
            archive.writestr(name, mutate(member, rng, others, most=1) if name == chosen else member, packed)
    return target.getvalue()
