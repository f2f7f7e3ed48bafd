"""Planted bugs: mistakes put into the real code for the length of a test, to see that the tests notice them.

A ``Bug`` is text: in which function of which module, what stands there rightly, what stands there by mistake. ``plant``
puts one in force. ``caught`` says what counts: an invariant, a test's assertion or a time-out noticed it. A mutant that
dies of an error of its own (an unresolved name, a wrong signature, an attribute that is not there) proves nothing about
the tests, so it raises ``BrokenMutant``, wherever the product may have swallowed that error.
"""

from tests.support.planting.bug import Bug
from tests.support.planting.oracle import BrokenMutant, caught, plant

__all__ = ["BrokenMutant", "Bug", "caught", "plant"]
