"""The bounds of everything that comes in: what lies within them can be written, read, listed, watched and undone.

Times fit what every reader can hold: protobuf's Timestamp and Duration, Python's datetime, JSON, both stores. Texts and
trees fit a message together with everything else that a saga may have. docs/configuration.md has the table.
"""

from swit_saga_server.core.units import SECOND, Instant, Span

DAY = 86_400 * SECOND

MAX_SPAN = Span(36_525 * DAY)
"""100 years. No timeout, delay or interval is longer."""
MAX_INSTANT = Instant(253_402_300_799 * SECOND + 999_999)
"""The last microsecond of the year 9999, UTC. The first is 1970's."""

MAX_STEPS = 1_000
MAX_MESSAGE_ITEMS = 8_192
"""Items in one message of a stream, and ids withdrawn by it."""
MAX_FAULTS = 400
"""Of what is wrong with a request so much is looked for: what is refused must be cheap."""
MAX_ATTEMPTS = 1_000_000
MAX_MULTIPLIER = 1_000.0

MAX_ID_LENGTH = 200
"""Characters of an id or a name: printable, no '/', no space at its ends."""
MAX_TEXT_BYTES = 4 << 10
"""A description, a reason, an error's message."""
MAX_CONTENT_TYPE_LENGTH = 200

MAX_FILTER_VALUES = 64
"""Of a filter's metadata: each is looked for in every saga."""
MAX_LABELS, MAX_LABEL_KEY, MAX_LABEL_VALUE = 8, 63, 200
MAX_TREE_BYTES = 64 << 10
"""Metadata or other JSON-like values, as JSON in UTF-8."""
MAX_TREE_VALUES = MAX_TREE_BYTES // 2
"""Values within each other, and beside each other: as JSON, each has two bytes at least."""
MAX_TREE_DEPTH = 32
"""Of JSON-like values: mappings and lists within each other."""

MAX_ERROR_CODE_LENGTH = 100
MAX_STACK_TRACE_BYTES = 16 << 10
MAX_DETAILS_BYTES = 16 << 10
"""Of an error's details, as JSON in UTF-8. This and the stack traces are counted over an error and all its causes."""
MAX_DETAILS_DEPTH = 16
"""Of an error's details: with its causes around them, they still nest less than every reader of protobuf takes."""
MAX_CAUSES = 8
"""Errors behind an error; further ones are left out."""

MAX_PAYLOAD_BYTES = 8 << 20
"""The most that ``max_payload_bytes`` and ``max_definition_bytes`` can be set to."""
MAX_SAGA_BYTES = 128 << 20
"""Of the payloads of a saga in all, small ones apart: whoever takes it over, or reads it, has all of it in memory."""
SMALL_PAYLOAD_BYTES = MAX_SAGA_BYTES // MAX_STEPS
"""Outputs of as many bytes are taken however large their saga is: a thousand of them have no more than another saga."""

MAX_MESSAGE_BYTES = 64 << 20
"""The most that coordinator, SDK clients and SDK participants take or send in one message."""
MIN_MESSAGE_BYTES = 3_584 << 10
"""3.5 MiB: any gRPC client receives 4 MiB without being told to."""
MESSAGE_EXTRA_BYTES = 512 << 10
"""What a message may have beyond the two largest values in it."""
PAGE_BYTES = 16 << 20
"""Of records that a store reads for one page of a list, the last of them apart."""
