"""Generated from protos/swit_saga/v1 by scripts/protos; not to be edited."""
