"""The Swit Saga coordinator server."""
