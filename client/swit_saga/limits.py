"""Bounds of what an error may carry, the coordinator's own: what the SDK cuts to them is not cut again."""

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
