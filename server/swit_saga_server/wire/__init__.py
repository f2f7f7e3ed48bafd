"""Between protobuf and the core: the only place that knows both. Pure conversion; nothing is decided here."""
