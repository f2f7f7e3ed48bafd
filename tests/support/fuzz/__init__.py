"""Messages that nobody means: every field at its extremes, random ones, and bytes that are no message at all.

``extremes`` goes through fields one by one, ``messages`` throws all of them at once, ``storm`` sends what they make
over every RPC of a real coordinator: ``python -m tests.support.fuzz --messages 100000``.
"""
