"""Whatever a message can be: hypothesis strategies from the descriptors, biased to extremes."""

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

M = TypeVar("M", bound=Message)

DEPTH = 7
"""Of messages within each other; deeper ones are made by hand."""

_LONG = ("x" * 200, "x" * 201, "ü" * 5_000, "\x00" * 5_000, "😀" * 20_000)
texts = st.sampled_from(
    ("", " ", "a", "text/plain", "OUT_OF_STOCK", "\x00", "a\nb", "\u202e", "\ufffe", "[red]", "NaN", *_LONG)
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_INTEGERS: dict[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats() | st.sampled_from((1e300, -1e300, 2.0**53, 2.0**63, 5e-324)),
    FieldDescriptor.CPPTYPE_STRING: texts,
} | {kind: st.sampled_from((0, 1, least, most)) | st.integers(least, most) for kind, (least, most) in _INTEGERS.items()}


def anything(kind: type[M]) -> st.SearchStrategy[M]:
    """Messages of a kind: any of their fields set, to anything."""
    return _messages(kind.DESCRIPTOR, DEPTH)


@st.composite
def _messages(draw: st.DrawFn, descriptor: Any, depth: int) -> Any:
    made = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if (field.message_type is not None and depth <= 0) or not draw(st.booleans()):
            continue
        value = _values(field, depth)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, item = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            for name in draw(st.lists(_values(key, depth), max_size=3, unique=True)):
                if item.message_type is not None:
                    getattr(made, field.name)[name].CopyFrom(draw(_values(item, depth)))
                else:
                    getattr(made, field.name)[name] = draw(_values(item, depth))
        elif field.is_repeated:
            getattr(made, field.name).extend(draw(st.lists(value, max_size=3)))
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(draw(value))
        else:
            setattr(made, field.name, draw(value))
    return made


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return _messages(field.message_type, depth - 1)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.sampled_from((b"", b"x", b"\xff" * 3_000)) | st.binary(max_size=30)
    return _SCALARS[field.cpp_type]
