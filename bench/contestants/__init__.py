"""Everybody who runs: a module per system, the load's rules in ``contestant``."""

from bench.contestants.bounds import Pipe, Raw
from bench.contestants.contestant import Absent, Contestant
from bench.contestants.dbos import Dbos
from bench.contestants.restate import Restate
from bench.contestants.swit import WITHOUT_LIMITS, Swit

__all__ = ["WITHOUT_LIMITS", "Absent", "Contestant", "Dbos", "Pipe", "Raw", "Restate", "Swit"]
