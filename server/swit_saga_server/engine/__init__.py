"""The loop: inbox -> decide -> commit -> effects (design §3). ``loop`` is the heart; the other files are its organs.

Clock, randomness, ids, store and transport are handed in, so the same engine runs in a simulation.
"""
