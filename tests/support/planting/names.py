"""Whether a mutant could run at all: every name, attribute of ``self`` and call that can be looked up, looked up."""

import ast
import builtins
import dis
import importlib
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from tests.support.planting.mutant import NOTE, NOTING, Definition, Mutant


def unresolved(mutant: Mutant) -> list[str]:
    """What is wrong with a mutant whatever it is run on, in words; empty if nothing is found."""
    known = {*vars(mutant.module), *vars(builtins), NOTE, NOTING}
    return [
        *(f"the name {name!r} is not defined" for name in sorted(_global_names(mutant.function.__code__) - known)),
        *_attributes(mutant),
        *_calls(mutant),
    ]


def _global_names(code: CodeType) -> set[str]:
    found = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return found.union(*(_global_names(c) for c in code.co_consts if isinstance(c, CodeType)))


def _self_of(mutant: Mutant) -> str:
    """What the function calls its object; empty if it has none."""
    arguments = mutant.tree.args.args
    if mutant.owner is None or not arguments or mutant.tree.decorator_list:
        return ""
    return arguments[0].arg


def _attributes(mutant: Mutant) -> Iterator[str]:
    own = _self_of(mutant)
    if not own or mutant.owner is None or hasattr(mutant.owner, "__getattr__"):
        return
    known = {*dir(mutant.owner), *_assigned(mutant.owner)}
    for name in sorted(set(_loaded_of(mutant.tree, own)) - known):
        yield f"{mutant.owner.__name__} has no attribute {name!r}"


def _loaded_of(tree: ast.AST, own: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == own:
            yield node.attr


def _assigned(owner: type) -> Iterator[str]:
    """Attributes that the methods of a class and of its bases set."""
    for one in owner.__mro__:
        if one.__module__ == "builtins":
            continue
        yield from vars(one).get("__annotations__", ())
        tree = ast.parse(inspect.getsource(importlib.import_module(one.__module__)))
        for found in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == one.__name__):
            for method in (n for n in found.body if isinstance(n, Definition) and n.args.args):
                own = method.args.args[0].arg
                for node in ast.walk(method):
                    if (
                        isinstance(node, ast.Attribute)
                        and isinstance(node.ctx, ast.Store)
                        and isinstance(node.value, ast.Name)
                        and node.value.id == own
                    ):
                        yield node.attr


def _calls(mutant: Mutant) -> Iterator[str]:
    """Calls that do not fit the signature of what they call."""
    own = _self_of(mutant)
    local = {*mutant.function.__code__.co_varnames, *mutant.function.__code__.co_cellvars}
    for call in (n for n in ast.walk(mutant.tree) if isinstance(n, ast.Call)):
        target: Any = None
        called = call.func
        if isinstance(called, ast.Name) and called.id not in local:
            target = vars(mutant.module).get(called.id)
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and own == called.value.id != "":
            target = inspect.getattr_static(mutant.owner, called.attr, None)
        if isinstance(target, (FunctionType, staticmethod, classmethod, type)):
            is_bound = isinstance(called, ast.Attribute) and not isinstance(target, staticmethod)
            yield from _misfit(call, target, is_bound=is_bound)


def _misfit(call: ast.Call, target: Any, *, is_bound: bool) -> Iterator[str]:
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return
    try:
        signature = inspect.signature(getattr(target, "__func__", target))
    except ValueError:
        return  # Some built-in classes have none.
    given = [None] * (len(call.args) + (is_bound and not isinstance(target, type)))
    try:
        signature.bind(*given, **{str(k.arg): None for k in call.keywords})
    except TypeError as misfit:
        yield f"{ast.unparse(call)}: {misfit}"
