"""The Swit Saga client and participant SDK."""
