"""What a handler takes, read from its signature once, when it is registered; what cannot be called is refused there.

A handler is given values (the step's input; for a compensation also its output) and the ``StepContext``. The context
goes to the parameter annotated so, or to one without annotation that is called ``step`` or ``context``; the values go
to the others, in order. A parameter with a default that no value reaches keeps its default.
"""

import functools
import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, get_type_hints

from swit_saga.participant.context import StepContext
from swit_saga.participant.kinds import why_unreadable
from swit_saga.typed.kinds import admits_nothing, values_of

_CONTEXT_AS_TEXT = re.compile(r"(\w+\.)*(Optional\[\s*(\w+\.)*)?StepContext\s*(\]|\|\s*None)?")
"""An annotation that names the context, wherever it is imported; often that is under TYPE_CHECKING only."""
_NAMES_OF_CONTEXT = ("step", "context")
_EMPTY, _CONTEXT = inspect.Parameter.empty, -1
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How to call a handler.

    Attributes:
        kinds: As what the values it takes are wanted; None as they come.
        optional: For each of them, whether it may be None.
        places: Of the positional arguments in ``[*values, *constants, context]``.
        keywords: The same of keyword arguments.
        constants: Defaults that have to be given because something stands behind them.
    """

    kinds: tuple[Any, ...]
    optional: tuple[bool, ...]
    places: tuple[int, ...]
    keywords: tuple[tuple[str, int], ...]
    constants: tuple[Any, ...]


def name_of(function: Any) -> str:
    """For messages."""
    return str(getattr(function, "__qualname__", None) or repr(function))


def read(function: Any, values: int, *, any_kind: bool) -> Signature:
    """Read and judge a signature.

    Args:
        function: Whatever is to be called.
        values: How many values there are.
        any_kind: Values of any annotation may be readable, for there are codecs that nobody knows here.

    Raises:
        TypeError: It cannot be a handler, or asks for what there is not; the message says what to do.
    """
    _refuse_what_is_no_function(function)
    return _Reading(function, values, any_kind).result()


def _refuse(function: Any, why: str) -> NoReturn:
    raise TypeError(f"{name_of(function)} cannot be a handler: {why}")


def _refuse_what_is_no_function(function: Any) -> None:
    if isinstance(function, type):
        _refuse(function, "it is a class; give a function, or an object of it that can be called")
    if not callable(function):
        what = type(function).__name__
        _refuse(
            function, f"a {what} cannot be called" + ("; register the bound method" if what == "classmethod" else "")
        )
    inner = code_of(function)
    for one in (inner, inspect.unwrap(inner)):
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            _refuse(function, "it is a generator: nothing in it would run; return the output instead of yielding")


def code_of(function: Any) -> Any:
    """The function behind a partial, a bound method, or an object that can be called."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType | staticmethod):
            function = function.__func__
        elif isinstance(function, types.FunctionType | types.BuiltinFunctionType):
            return function
        else:
            method = inspect.getattr_static(type(function), "__call__", None)
            if not isinstance(method, types.FunctionType | staticmethod):
                return function
            function = method


@dataclass(frozen=True, slots=True)
class _Default:
    """A parameter that keeps its default."""

    value: Any


class _Reading:
    """One signature in the reading."""

    def __init__(self, function: Any, values: int, any_kind: bool) -> None:
        self._function = function
        self._values = values
        self._any_kind = any_kind
        self._namespaces: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._kinds: list[Any] = []
        self._optional: list[bool] = []

    def result(self) -> Signature:
        parameters = self._parameters()
        self._refuse_unbound(parameters)
        places = [self._place(p) for p in parameters.values() if p.kind in _BY_PLACE]
        while places and isinstance(places[-1], _Default):
            places.pop()  # Nothing stands behind it that has to be given.
        named = {p.name: self._place(p) for p in parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY}
        taken = len(self._kinds)
        if taken > self._values:
            wanted = "the step's input" if self._values == 1 else "the step's input and its output"
            _refuse(self._function, f"it takes {taken} values; there is {wanted}, and a StepContext")
        constants = [place.value for place in places if isinstance(place, _Default)]
        behind = iter(range(taken, taken + len(constants)))
        made = Signature(
            kinds=tuple(self._kinds),
            optional=tuple(self._optional),
            places=tuple(next(behind) if isinstance(place, _Default) else place for place in places),
            keywords=tuple((name, place) for name, place in named.items() if not isinstance(place, _Default)),
            constants=tuple(constants),
        )
        self._try_out(made)
        return made

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        function = self._function
        try:
            found = inspect.signature(function, follow_wrapped=False).parameters
            if any(_is_open(p) for p in found.values()):
                found = inspect.signature(function).parameters
        except Exception as unreadable:
            _refuse(function, f"its parameters cannot be read ({unreadable}); wrap it in a function of your own")
        for parameter in found.values():
            if _is_open(parameter):
                text = f"what it takes cannot be seen from '{parameter}'; name the parameters"
                _refuse(function, f"{text}, or put functools.wraps on the wrapper that your decorator makes")
        return found

    def _refuse_unbound(self, parameters: Mapping[str, inspect.Parameter]) -> None:
        first = next(iter(parameters.values()), None)
        if first is not None and first.name in ("self", "cls") and first.annotation is _EMPTY:
            _refuse(self._function, f"nobody would give it {first.name!r}; register the bound method of an object")

    def _place(self, parameter: inspect.Parameter) -> "int | _Default":
        """Where its argument is: a value's number, or the context's place."""
        kind, default = self._kind(parameter), parameter.default
        if kind is StepContext:
            return _CONTEXT
        if default is not _EMPTY:
            by_place, reached = parameter.kind in _BY_PLACE, len(self._kinds) < self._values
            if not (by_place and reached):
                return _Default(default)
            if default is not None:
                what = "output" if self._kinds else "input"
                text = f"{parameter.name!r} would be given the step's {what}, and has a default"
                _refuse(self._function, f"{text}; leave the default out, or make the parameter keyword-only")
        why = None if self._any_kind else why_unreadable(kind)
        if why:
            _refuse(self._function, f"{parameter.name!r} is annotated {why}")
        self._kinds.append(kind)
        self._optional.append(admits_nothing(kind) or default is None)
        return len(self._kinds) - 1

    def _kind(self, parameter: inspect.Parameter) -> Any:
        annotation = parameter.annotation
        if annotation is _EMPTY:
            return StepContext if parameter.name in _NAMES_OF_CONTEXT else None
        try:
            kind = self._resolved(annotation)
        except Exception as unresolved:
            if isinstance(annotation, str) and _CONTEXT_AS_TEXT.fullmatch(annotation.strip()):
                return StepContext
            text = f"the annotation {annotation!r} of {parameter.name!r} cannot be resolved"
            hint = "it must be known when the handler is registered, and not only under TYPE_CHECKING"
            _refuse(self._function, f"{text} ({type(unresolved).__name__}: {unresolved}); {hint}")
        return StepContext if values_of(kind) == (StepContext,) else kind

    def _resolved(self, annotation: Any) -> Any:
        if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
            return annotation
        if self._namespaces is None:
            self._namespaces = _namespaces(self._function)
        holder: Any = types.SimpleNamespace(__annotations__={"it": annotation})
        return get_type_hints(holder, *self._namespaces)["it"]

    def _try_out(self, made: Signature) -> None:
        """A decorator may pass on less than what its wrapped function says."""
        given = [*made.kinds, *made.constants, None]
        try:
            inspect.signature(self._function, follow_wrapped=False).bind(
                *(given[place] for place in made.places), **{name: given[place] for name, place in made.keywords}
            )
        except TypeError as wrong:
            _refuse(self._function, f"it does not take what its signature says: {wrong}")


def _is_open(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _namespaces(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where the names in annotations are looked up: the modules' globals, and what is local where it was written."""
    outer = code_of(function)
    inner = inspect.unwrap(outer)
    known: dict[str, Any] = {}
    local: dict[str, Any] = {}
    for one in (outer, code_of(inner)):
        known.update(getattr(one, "__globals__", {}))
        local.update(_around(one))
    return known, local


def _around(function: Any) -> dict[str, Any]:
    """Locals of the functions that ``function`` stands in, those that still run: classes made there, for instance."""
    found: dict[str, Any] = {}
    outer = getattr(function, "__qualname__", "").rpartition(".<locals>.")[0]
    frame = inspect.currentframe() if outer else None
    while frame is not None:
        name = frame.f_code.co_qualname
        if outer == name or outer.startswith(f"{name}.<locals>."):
            found = {**frame.f_locals, **found}
        frame = frame.f_back
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    for name, cell in zip(code.co_freevars if code else (), cells or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # Not assigned yet.
            continue
    return found
