"""A limit: the coordinator's messages and writes without a coordinator. Frozen: it does not change with the project."""
