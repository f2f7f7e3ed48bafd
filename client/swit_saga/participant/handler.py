"""One step's handlers: plain or async functions, their arguments typed by annotation."""

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from swit_saga.forks import end_child
from swit_saga.participant.context import StepContext
from swit_saga.participant.signature import code_of, name_of, read

P = ParamSpec("P")
R = TypeVar("R")
P2 = ParamSpec("P2")
R2 = TypeVar("R2")

BLOCKED_S = 1.0
"""An async handler that keeps the event loop for longer, in one go, is worth a warning."""

_AWAITS_IN_CHILD = RuntimeError("a handler awaits in a process that it forked off, which has no event loop")

Blocked: TypeAlias = Callable[[float], None]
"""Is given the seconds for which the event loop stood still."""


class Call:
    """A function and how to call it: where the context goes, and as what the values are wanted.

    Attributes:
        kinds: As what the values are wanted; None as they come.
        optional: For each of them, whether it may be None.
    """

    def __init__(self, function: Callable[..., Any], values: int, *, any_kind: bool = False) -> None:
        """Read the signature.

        Args:
            function: See ``swit_saga.participant.signature``.
            values: How many values may be asked for.
            any_kind: See ``signature.read``.

        Raises:
            TypeError: It cannot be called with what there is.
        """
        self.function = function.__func__ if isinstance(function, staticmethod) else function
        self.is_async = inspect.iscoroutinefunction(code_of(function))
        made = read(self.function, values, any_kind=any_kind)
        self.kinds, self.optional = made.kinds, made.optional
        self._places, self._keywords, self._constants = made.places, made.keywords, made.constants

    async def __call__(
        self, values: list[Any], context: StepContext, threads: concurrent.futures.Executor, blocked: Blocked
    ) -> Any:
        """Call it; a plain function in a thread, with the caller's context variables.

        Args:
            values: As many as there are ``kinds``.
            context: The step's.
            threads: For plain functions.
            blocked: Told how long an async function kept the event loop, where that was too long.

        Returns:
            What it returned; if that is still to be waited for, what comes of it.

        Raises:
            BaseException: Whatever it raised.
        """
        given = [*values, *self._constants, context]
        arguments = [given[place] for place in self._places]
        named = {name: given[place] for name, place in self._keywords}
        result: Any
        if self.is_async:
            result = await _Watched(self.function(*arguments, **named), blocked)
        else:
            own = contextvars.copy_context()
            work = functools.partial(own.run, self._in_thread, arguments, named)
            result = await asyncio.get_running_loop().run_in_executor(threads, work)
            if inspect.isawaitable(result):
                _take_over(own)
        return await self._finished(result, blocked)

    def _in_thread(self, arguments: list[Any], named: dict[str, Any]) -> Any:
        process, error = os.getpid(), None
        try:
            return self.function(*arguments, **named)
        except StopIteration as ended:
            # A future cannot hold it (PEP 479): its waiter would never be woken.
            raise RuntimeError("the handler raised StopIteration") from ended
        except BaseException as raised:
            error = raised
            raise
        finally:
            if os.getpid() != process:
                end_child(error)

    async def _finished(self, result: Any, blocked: Blocked) -> Any:
        """A decorator may return the coroutine of what it wraps; and who forgets an ``await`` returns one."""
        while True:
            if inspect.isawaitable(result):
                result = await _Watched(result, blocked)
            elif isinstance(result, concurrent.futures.Future):
                result = await asyncio.wrap_future(result)
            elif inspect.isgenerator(result) or inspect.isasyncgen(result):
                # Whether anything was done is anybody's guess: what stands in a generator was not.
                raise TypeError(f"{name_of(self.function)} returned a generator, which nobody has run")
            else:
                return result


class _Watched:
    """Awaits what it is given, and looks at the clock each time that lets go of the event loop."""

    __slots__ = ("_blocked", "_work")

    def __init__(self, work: Awaitable[Any], blocked: Blocked) -> None:
        self._work = work
        self._blocked = blocked

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work.__await__()
        step: Callable[..., Any] = work.__next__
        given: tuple[Any, ...] = ()
        process = os.getpid()
        while True:
            began = time.monotonic()
            error: BaseException | None = _AWAITS_IN_CHILD
            try:
                wanted = step(*given)
            except StopIteration as done:
                error = None
                return done.value
            except BaseException as raised:
                error = raised
                raise
            finally:
                if os.getpid() != process:
                    end_child(error)
                took_s = time.monotonic() - began
                if took_s > BLOCKED_S:
                    self._blocked(took_s)
            try:
                sent = yield wanted
                step, given = (work.__next__, ()) if sent is None else (work.send, (sent,))
            except GeneratorExit:
                close = getattr(work, "close", None)
                if close is not None:
                    close()
                raise
            except BaseException as thrown:
                if not hasattr(work, "throw"):
                    raise
                step, given = work.throw, (thrown,)


def _take_over(own: contextvars.Context) -> None:
    """What a plain function set before it returned a coroutine is in force in there."""
    for variable, value in own.items():
        if variable.get(None) is not value:
            variable.set(value)


class StepHandler(Generic[P, R]):
    """A step's function, still callable as such, and its compensation."""

    execute: Call

    def __init__(self, action: str, function: Callable[P, R], *, any_kind: bool = False) -> None:
        """Take the function.

        Raises:
            TypeError: It cannot be a handler.
        """
        if isinstance(function, StepHandler):
            function = function.execute.function
        self.action = action
        self.execute = Call(function, values=1, any_kind=any_kind)
        self.undo: Call | None = None
        self._function = function
        self._any_kind = any_kind
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function."""
        return self._function(*args, **kwargs)

    def compensate(self, function: Callable[P2, R2]) -> Callable[P2, R2]:
        """Make ``function(input, output, StepContext)`` this step's compensation. ``output`` is None if unknown.

        Raises:
            TypeError: It cannot be a handler.
            ValueError: The step has a compensation.
        """
        if self.undo is not None:
            raise ValueError(f"the action {self.action!r} already has a compensation, {name_of(self.undo.function)}")
        self.undo = Call(function, values=2, any_kind=self._any_kind)
        return function
