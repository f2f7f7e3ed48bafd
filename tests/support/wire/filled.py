"""Messages with one field set: a value no default has."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def set_field(message: Message, field: FieldDescriptor) -> None:
    """Set it to something that is not the default, at any depth."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)["k"] = "v"
    elif field.message_type is not None:
        part = getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name)
        _fill(part)
    elif field.is_repeated:
        getattr(message, field.name).append(_scalar(field))
    else:
        setattr(message, field.name, _scalar(field))


def _fill(part: Any) -> None:
    match part.DESCRIPTOR.full_name:
        case "google.protobuf.Duration" | "google.protobuf.Timestamp":
            part.seconds = 77
        case "google.protobuf.Struct":
            part["k"] = 1.5
        case _:
            # Not the message itself only: one that is set but empty may well mean its defaults.
            set_field(part, part.DESCRIPTOR.fields[0])


def _scalar(field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[1].number  # Not the last: it may be the default.
    return {
        FieldDescriptor.CPPTYPE_STRING: "set",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_DOUBLE: 7.5,
    }.get(field.cpp_type, 7)
