"""Ways to reach participants: in this process (``local``), by unary gRPC (``unary``); ``router`` picks by name."""
