"""A store in memory that keeps the whole ``StateStorage`` contract, and tells what it judged.

Every method does all it does at one moment. What may go wrong between a coordinator and the store is ``network``'s. The
files are those of every backend: one per port, put together in ``store``; ``data`` is what there is.
"""

from tests.support.simulation.store.data import Data
from tests.support.simulation.store.store import SimStore

__all__ = ["Data", "SimStore"]
