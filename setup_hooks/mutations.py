"""Mutations of a module: each a small change that a test ought to notice. What is run, and where, `mutants` decides.

They are made in the syntax tree: a mutated module has no comments and other line numbers, and is otherwise as it was.
Left alone is what says nothing at run time, or what no test should hold in place: annotations, decorators, base
classes, docstrings, assertions, messages.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from .mutation_rules import Place, changes_of

# What is called with these is for the type checker.
_TYPING = frozenset({"TypeVar", "NewType", "cast", "ParamSpec"})
_LEFT_ALONE = (ast.Import, ast.ImportFrom, ast.Assert, ast.JoinedStr)
_PARTS_LEFT_ALONE = frozenset({"annotation", "returns", "decorator_list", "bases"})


@dataclass(frozen=True)
class Mutation:
    """`where` (a qualified name, empty for the module) and `change` name it, for people and in the list of those that
    change nothing; `line` is where it is now, `index` its place among all of the module."""

    index: int
    line: int
    where: str
    change: str


@dataclass(frozen=True)
class _Change:
    line: int
    where: str
    text: str
    make: Callable[[], None]


def mutations(source: str) -> list[Mutation]:
    """All of a module, in the order of its text."""
    found: list[Mutation] = []
    same: Counter[tuple[str, str]] = Counter()
    for index, change in enumerate(_changes(ast.parse(source))):
        same[change.where, change.text] += 1
        number = same[change.where, change.text]
        text = change.text if number == 1 else f"{change.text} (no. {number})"
        found.append(Mutation(index, change.line, change.where, text))
    return found


def changed(source: str, mutation: Mutation | None) -> ast.Module:
    """The module's tree with this change; `None`: without any. What stays has the lines that it had."""
    tree = ast.parse(source)
    if mutation is not None:
        # All of them first: the tree must not change under the walk.
        [*_changes(tree)][mutation.index].make()
    return tree


def mutated(source: str, mutation: Mutation | None) -> str:
    """As `changed`, as text."""
    return ast.unparse(ast.fix_missing_locations(changed(source, mutation))) + "\n"


def _changes(tree: ast.Module) -> Iterator[_Change]:
    for number, statement in enumerate(tree.body):
        yield from _walk(statement, partial(tree.body.__setitem__, number), Place())


def _walk(node: ast.AST, put: Callable[[ast.AST], None], place: Place) -> Iterator[_Change]:
    if _is_left_alone(node):
        return
    for text, other in changes_of(node, place):
        yield _Change(_line(node), ".".join(place.names), text, partial(put, other))
    inside = _inside(node, place)
    for name, part in ast.iter_fields(node):
        if name in _PARTS_LEFT_ALONE:
            continue
        if isinstance(part, list):
            for number, one in enumerate(part):
                if isinstance(one, ast.AST):
                    yield from _walk(one, partial(part.__setitem__, number), inside)
        elif isinstance(part, ast.AST):
            yield from _walk(part, partial(setattr, node, name), inside)


def _line(node: ast.AST) -> int:
    # The filters of a comprehension are a node without a place.
    placed = node.target if isinstance(node, ast.comprehension) else node
    return getattr(placed, "lineno", 0)


def _inside(node: ast.AST, place: Place) -> Place:
    match node:
        case ast.ClassDef(name=name):
            return Place((*place.names, name))
        case ast.FunctionDef(name=name, returns=returns) | ast.AsyncFunctionDef(name=name, returns=returns):
            written = "" if returns is None else ast.unparse(returns)
            return Place((*place.names, name), returns=written, in_function=True)
    alone = isinstance(node, ast.If) and len(node.body) == 1 and not node.orelse
    return Place(place.names, place.returns, place.in_function, alone)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.ClassDef(bases=bases):
            # Nothing of the one runs, and what the other's members are worth is nobody's business.
            return any(ast.unparse(base).startswith(("Protocol", "Enum")) for base in bases)
        case ast.If(test=ast.Name(id=name)):
            return name == "TYPE_CHECKING"
        case ast.Call(func=ast.Name(id=name)):
            return name in _TYPING
        case ast.Subscript(value=ast.Name(id=name)):
            return name == "Literal"
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in {"__slots__", "__all__"}
        case ast.keyword(arg=name):
            # Of `zip`: whether the lengths differ is not what a test is for.
            return name == "strict"
    return isinstance(node, _LEFT_ALONE)
