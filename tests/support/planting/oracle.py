"""What counts: a bug is caught by an invariant, a test's assertion or a time-out, and never by an error of its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from swit_saga_server.core import quarantine
from tests.support.invariants import Violated
from tests.support.planting.bug import Bug
from tests.support.planting.mutant import mutant_of
from tests.support.planting.names import unresolved
from tests.support.planting.references import substituted
from tests.support.planting.watch import OWN_ERRORS, TESTS, Watch, raised_in


class BrokenMutant(Exception):
    """The mutant is broken, not the product: it does not express the mistake that it is meant for."""


@contextmanager
def plant(bug: Bug) -> Iterator[None]:
    """The mistake is in force while the context lasts; nothing of it stays behind.

    Raises:
        NotThere: The right text is not where the bug says.
        BrokenMutant: It has unresolved names or calls that fit no signature; or, at the end: an error of its own was
            raised meanwhile, or made the engine set a saga aside.
    """
    mutant = mutant_of(bug)
    if wrong := unresolved(mutant):
        raise BrokenMutant(f"{bug.name}: {'; '.join(wrong)}")
    watch = Watch(mutant)
    try:
        with ExitStack() as stack:
            stack.enter_context(watch.in_globals())
            stack.enter_context(substituted(mutant.original, mutant.function))
            set_aside = quarantine.quarantine
            stack.enter_context(substituted(set_aside, watch.setting_aside(set_aside)))
            yield
    finally:
        if watch.found:
            raise BrokenMutant(f"{bug.name}: {'; '.join(watch.found)}")


@contextmanager
def caught(bug: Bug) -> Iterator[None]:
    """With the mistake in force, the body must fail as a test fails: by an invariant, an assertion or a time-out.

    Raises:
        BrokenMutant: See ``plant``; or the body ended in an error of that kind, wherever raised.
    """
    with plant(bug):
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:
            if any(isinstance(leaf, OWN_ERRORS) for leaf in _leaves(error)):
                raise BrokenMutant(f"{bug.name}: {type(error).__name__}: {error}") from error
            if not is_verdict(error):
                error.add_note(f"{bug.name}: this is no invariant, assertion or time-out, so nothing caught the bug")
                raise
        else:
            pytest.fail(f"{bug.name}: nothing caught it")


def is_verdict(error: BaseException) -> bool:
    """Whether an exception is how a test says no: an invariant, an assertion of a test's own, or a time-out.

    An assertion that fails in the product is there for the type checker: then the product crashed.
    """
    return any(
        raised_in(leaf).startswith(str(TESTS))
        if isinstance(leaf, AssertionError) and not isinstance(leaf, Violated)
        else isinstance(leaf, (Violated, TimeoutError, pytest.fail.Exception))
        for leaf in _leaves(error)
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
