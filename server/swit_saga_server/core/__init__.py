"""The pure heart of Swit Saga: everything that decides what a saga does next lives here.

Standard library only: no clock, no randomness, no asyncio, no protobuf, no I/O. Read in this order:
``model`` (what a saga is), ``definition`` (what it should do), ``inputs`` (what can happen to it),
``machine`` (what follows), ``table`` (the states as data).
"""
