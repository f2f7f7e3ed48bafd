"""One step's handlers: plain or async functions, their arguments typed by annotation."""

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from swit_saga.participant.context import StepContext

P = ParamSpec("P")
R = TypeVar("R")
P2 = ParamSpec("P2")
R2 = TypeVar("R2")


class Call:
    """A function and how to call it: which parameter is the context, and as what the values are wanted."""

    def __init__(self, function: Callable[..., Any], values: int) -> None:
        """Read the signature.

        Args:
            function: ``(value, ...)`` in order, and anywhere a parameter annotated ``StepContext``.
            values: How many values may be asked for.

        Raises:
            TypeError: More are asked for than there are.
        """
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        hints = get_type_hints(function)
        hints.pop("return", None)
        self.kinds: list[Any] = []
        self._names: list[str | None] = []
        for name in inspect.signature(function).parameters:
            if hints.get(name) is StepContext or (name not in hints and name in ("step", "context")):
                self._names.append(None)
            else:
                self._names.append(name)
                self.kinds.append(hints.get(name))
        if len(self.kinds) > values:
            where = getattr(function, "__qualname__", repr(function))
            wanted = "the step's input" if values == 1 else "the step's input and its output"
            raise TypeError(f"{where} takes {len(self.kinds)} values; there is {wanted} and a StepContext")

    async def __call__(self, values: list[Any], context: StepContext, threads: Executor) -> Any:
        """Call it; a plain function in a thread, with the caller's context variables."""
        given = iter(values)
        arguments = [context if name is None else next(given) for name in self._names]
        if self.is_async:
            return await self.function(*arguments)
        work = functools.partial(contextvars.copy_context().run, self._in_thread, arguments)
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _in_thread(self, arguments: list[Any]) -> Any:
        try:
            return self.function(*arguments)
        except StopIteration as ended:
            # A future cannot hold it (PEP 479): its waiter would never be woken.
            raise RuntimeError("the handler raised StopIteration") from ended


class StepHandler(Generic[P, R]):
    """A step's function, still callable as such, and its compensation."""

    def __init__(self, action: str, function: Callable[P, R]) -> None:
        self.action = action
        self.execute = Call(function, values=1)
        self.undo: Call | None = None
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The plain function."""
        return self._function(*args, **kwargs)

    def compensate(self, function: Callable[P2, R2]) -> Callable[P2, R2]:
        """Make ``function(input, output, StepContext)`` this step's compensation. ``output`` is None if unknown."""
        self.undo = Call(function, values=2)
        return function
