"""Ways to damage a summary's file: blindly, and with an eye for its parts."""

import json
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from small_summary import put_together, take_apart

VALUES: list[Any] = [
    *(-1, 0, 1, 2, 3, 7, 2**31, 2**53, 2**63, 2**64, 10**30, 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf")),
    *(
        None,
        True,
        False,
        "",
        "a",
        "free",
        "next",
        "word",
        "char",
        "bpe",
        "<unk>",
        "F32",
        "BF16",
        "F4",
        "U8",
        "../../etc",
    ),
    *("\ud800", "\0", "東" * 50, [], {}, [[]], [0, 0], [""], ["a", "a"], {"": ""}, {"kind": "bpe", "merges": []}),
]


def mutated(content: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    """The file, changed one to three times."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = chance.choice(_WAYS)(content, others, chance)
    return content


def _flip(content: bytes, _: Sequence[bytes], chance: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 8)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _splice(content: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    """A piece taken out, and another in its place."""
    (first, end), other = _ends(content, chance), chance.choice(others)
    begin, stop = _ends(other, chance)
    piece = chance.choice((b"", other[begin:stop], bytes(chance.randrange(256) for _ in range(chance.randrange(9)))))
    return content[:first] + piece + content[end:]


def _cut(content: bytes, _: Sequence[bytes], chance: Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _resize(content: bytes, _: Sequence[bytes], chance: Random) -> bytes:
    """Another length of the header."""
    size = int.from_bytes(content[:8], "little") + chance.choice((-1, 1, -8, 8, 2**20, 2**26, 2**32, 2**63))
    return struct.pack("<Q", size % 2**64) + content[8:]


def _edit_table(content: bytes, _: Sequence[bytes], chance: Random) -> bytes:
    """A header that is still JSON, and a table that may be none."""
    return _in_header(content, lambda header: _edit(header, chance))


def _edit_card(content: bytes, _: Sequence[bytes], chance: Random) -> bytes:
    """A card that is still JSON."""

    def change(header: dict[str, Any]) -> None:
        card = json.loads(header["__metadata__"]["farzi"])
        _edit(card, chance)
        header["__metadata__"]["farzi"] = json.dumps(card, ensure_ascii=chance.random() < 0.5)

    return _in_header(content, change)


def _repeat_key(content: bytes, _: Sequence[bytes], chance: Random) -> bytes:
    header, tensors = _parts(content)
    text = json.dumps(header)
    key = chance.choice(list(header)) if isinstance(header, dict) and header else ""
    return put_together(text.replace("{", "{" + json.dumps(key) + ":{},", 1).encode(errors="replace"), tensors)


_WAYS: list[Callable[[bytes, Sequence[bytes], Random], bytes]] = [
    *(_flip, _flip, _splice, _cut, _resize, _edit_table, _edit_table, _edit_card, _edit_card, _edit_card, _repeat_key),
]


def _parts(content: bytes) -> tuple[Any, bytes]:
    """Header and tensors, as far as there are any after other changes."""
    try:
        return take_apart(content)
    except (ValueError, struct.error, OverflowError, RecursionError):
        return {}, content


def _in_header(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    header, tensors = _parts(content)
    try:
        change(header)
        return put_together(json.dumps(header, ensure_ascii=False).encode(), tensors)
    except (KeyError, TypeError, ValueError, AttributeError):  # what is no header any more stays as it is
        return content


def _edit(content: Any, chance: Random) -> None:
    """Change, remove or add something at a random place of a JSON."""
    places = [content]
    for place in places:
        parts = place.values() if isinstance(place, dict) else place
        places += [part for part in parts if isinstance(part, dict | list)]
    place = chance.choice(places)
    value = chance.choice(VALUES)
    if isinstance(place, list):
        at = chance.randrange(len(place) + 1)
        place[at : at + chance.choice((0, 1, 1))] = [value] if chance.random() < 0.7 else []
        return
    key = chance.choice([*place, "new"])
    if chance.random() < 0.2:
        place.pop(key, None)
    else:
        place[key] = value if chance.random() < 0.7 else chance.choice([*place.values(), value])


def _ends(content: bytes, chance: Random) -> tuple[int, int]:
    """Where a piece of at most 60 bytes begins and ends."""
    first = chance.randrange(len(content) + 1)
    return first, min(len(content), first + chance.randrange(60))
