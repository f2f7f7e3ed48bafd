"""Random messages from the descriptors, and bytes near to them and far from them."""

from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.support.fuzz.extremes import STRINGS, WELL_KNOWN, scalars

MAX_DEPTH = 6
MAX_BYTES = 1 << 20


def random_message(kind: Descriptor, random: Random, ids: list[str]) -> Message:
    """A message of this kind. ``ids`` are those of things that exist: now and then one of them is meant."""
    made = GetMessageClass(kind)()
    _fill(made, random, ids, 0)
    return made


def random_bytes(kind: Descriptor, random: Random, ids: list[str]) -> bytes:
    """What may come over the wire: mostly a message, sometimes a broken one, sometimes none."""
    luck = random.random()
    if luck < 0.1:
        return random.randbytes(random.choice((0, 1, 2, 5, 50, 5_000)))
    data = random_message(kind, random, ids).SerializeToString()
    if len(data) > MAX_BYTES:
        data = data[:MAX_BYTES]
    if luck < 0.2:
        return data[: random.randrange(len(data) + 1)]
    if luck < 0.3 and data:
        broken = bytearray(data)
        for _ in range(random.randint(1, 8)):
            broken[random.randrange(len(broken))] = random.randrange(256)
        return bytes(broken)
    if luck < 0.32:
        return data + random.randbytes(random.randint(1, 20))
    return data


def _fill(message: Any, random: Random, ids: list[str], depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if random.random() < (0.35 if depth else 0.6):
            _fill_field(message, field, random, ids, depth)


def _fill_field(message: Any, field: FieldDescriptor, random: Random, ids: list[str], depth: int) -> None:
    held, kind = getattr(message, field.name), field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        key, value = kind.fields_by_name["key"], kind.fields_by_name["value"]
        if key.type == value.type == FieldDescriptor.TYPE_STRING:
            for _ in range(random.choice((1, 1, 2, 8, 9))):
                held[_text(random, ids)] = _text(random, ids)
    elif kind is not None and kind.full_name not in WELL_KNOWN:
        for _ in range(random.choice((1, 1, 2, 3)) if field.is_repeated else 1):
            one = held.add() if field.is_repeated else held
            if not field.is_repeated:
                one.SetInParent()
            if depth < MAX_DEPTH:
                _fill(one, random, ids, depth + 1)
    else:
        values = [_value(field, random, ids) for _ in range(random.choice((1, 1, 2)) if field.is_repeated else 1)]
        if field.is_repeated:
            held.extend(values)
        elif kind is not None:
            held.CopyFrom(values[0])
        else:
            setattr(message, field.name, values[0])


def _value(field: FieldDescriptor, random: Random, ids: list[str]) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(random, ids)
    found = random.choice(scalars(field))
    return (
        found if not isinstance(found, Message) or found.ByteSize() < 1_000 or random.random() < 0.05 else type(found)()
    )


def _text(random: Random, ids: list[str]) -> str:
    luck = random.random()
    if luck < 0.5 and ids:
        return random.choice(ids)
    if luck < 0.7:
        return "".join(chr(random.choice((random.randrange(32, 127), random.randrange(0x2000)))) for _ in range(8))
    from_table = random.choice(STRINGS)
    return from_table if len(from_table) < 1_000 or random.random() < 0.02 else ""
