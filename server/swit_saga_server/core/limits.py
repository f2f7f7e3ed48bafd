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
MAX_ATTEMPTS = 1_000_000
MAX_MULTIPLIER = 1_000.0

MAX_ID_LENGTH = 200
"""Characters of an id or a name: printable, no '/', no space at its ends."""
MAX_TEXT_BYTES = 4 << 10
"""A description, a reason, an error's message."""
MAX_CONTENT_TYPE_LENGTH = 200

MAX_LABELS, MAX_LABEL_KEY, MAX_LABEL_VALUE = 8, 63, 200
MAX_TREE_BYTES = 64 << 10
"""Metadata or other JSON-like values, as JSON in UTF-8."""
MAX_TREE_DEPTH = 32
"""Of JSON-like values: mappings and lists within each other."""

MAX_ERROR_CODE_LENGTH = 100
MAX_STACK_TRACE_BYTES = 16 << 10
MAX_DETAILS_BYTES = 16 << 10
"""Of an error's details, as JSON in UTF-8."""
MAX_DETAILS_DEPTH = 24
"""Of an error's details. protobuf reads messages within messages down to the hundredth; a mapping takes three of them,
and the error itself, a cause's cause perhaps, stands deep in a saga's view: with 32 no stream of waits can be read."""
MAX_CAUSES = 8
"""Errors behind an error; further ones are left out."""

MAX_PAYLOAD_BYTES = 8 << 20
"""The most that ``max_payload_bytes`` and ``max_definition_bytes`` can be set to."""
