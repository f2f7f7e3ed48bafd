"""The coordinator's own bounds, as far as the SDK keeps to them by itself: what it cuts to them is not cut again."""

MAX_MESSAGE_BYTES = 64 << 20
"""What a client, a participant and a coordinator take in one message."""
MAX_ID_LENGTH = 200
"""Characters of an id or a name."""
MAX_TREE_DEPTH = 32
"""Of metadata: mappings and lists within each other."""

MAX_ERROR_CODE_LENGTH = 100
"""Characters of an error's code."""
MAX_TEXT_BYTES = 4 << 10
"""Of an error's message, UTF-8."""
MAX_STACK_TRACE_BYTES = 16 << 10
MAX_DETAILS_BYTES = 16 << 10
"""Of an error's details, as JSON in UTF-8."""
MAX_DETAILS_DEPTH = 16
"""Of an error's details: mappings and lists within each other. protobuf reads messages within messages down to the
hundredth; a mapping takes three of them, and the error itself stands deep in a saga's view."""
