"""What can be wrong in a piece of code that still looks right: for each kind of syntax, what it could be instead.

A rule never changes the tree that it is given. How a module is walked through is `mutations`' business.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# Longer ones are cut in the middle.
_MAX_SHOWN = 120

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}
_FUNCTIONS = {"any": "all", "all": "any", "min": "max", "max": "min"}
_METHODS = {"match": "fullmatch", "fullmatch": "match", "startswith": "endswith", "endswith": "startswith"}

# Without it a text is mostly the same; where it is not, that is the point.
_TIDYING = frozenset({"strip", "lower", "casefold"})


@dataclass(frozen=True)
class Place:
    """Where a node is: in which classes and functions, outermost first; what the innermost function returns (as it is
    written); whether it is all that an `if` without an `else` does."""

    names: tuple[str, ...] = ()
    returns: str = ""
    in_function: bool = False
    alone: bool = False


Rule = Callable[[ast.AST, Place], Iterator[tuple[str, ast.AST]]]
"""How each change is called, and what is put in the node's place."""


def changes_of(node: ast.AST, place: Place) -> Iterator[tuple[str, ast.AST]]:
    """All changes of this node itself; those of its parts are theirs."""
    for rule in _RULES.get(type(node), ()):
        yield from rule(node, place)


def shown(node: ast.AST) -> str:
    """As code, on one line, and not a long one."""
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    half = (_MAX_SHOWN - 3) // 2
    return text if len(text) <= _MAX_SHOWN else f"{text[:half]}...{text[-half:]}"


def _instead(node: ast.AST, *others: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for other in others:
        yield f"{shown(node)} -> {shown(other)}", other


def _comparison(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    for number, operator in enumerate(node.ops):
        other = _COMPARISONS[type(operator)]()
        ops = [*node.ops[:number], other, *node.ops[number + 1 :]]
        yield from _instead(node, ast.Compare(node.left, ops, node.comparators))


def _and_or(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    is_and = isinstance(node.op, ast.And)
    name, other = ("and -> or", ast.Or()) if is_and else ("or -> and", ast.And())
    yield f"{name}: {shown(node)}", ast.BoolOp(other, node.values)
    for number, one in enumerate(node.values):
        left = node.values[:number] + node.values[number + 1 :]
        yield f"without the operand {shown(one)}", ast.BoolOp(node.op, left) if len(left) > 1 else left[0]


def _not(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.op, ast.Not):
        yield from _instead(node, node.operand)


def _operator(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if type(node.op) in _OPERATORS:
        yield from _instead(node, ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right))
    elif isinstance(node.op, ast.BitOr) and not _is_none(node.right):
        yield from _instead(node, node.left, node.right)


def _constant(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    """Texts with a blank are messages for people."""
    match node.value:
        case bool() as value:
            yield from _instead(node, ast.Constant(not value))
        case int() as value:
            yield from _instead(node, ast.Constant(value + 1))
        case str() as text if text and " " not in text:
            yield from _instead(node, ast.Constant(text + "~"))
        case bytes() as octets if octets and b" " not in octets:
            yield from _instead(node, ast.Constant(octets + b"~"))


def _return(node: Any, place: Place) -> Iterator[tuple[str, ast.AST]]:
    if node.value is None or _is_none(node.value):
        return
    # True and False are changed as constants.
    if place.returns == "bool" and not isinstance(node.value, ast.Constant):
        yield f"the opposite: {shown(node)}", ast.Return(_negated(node.value))
    elif place.returns != "bool":
        yield f"nothing instead: {shown(node)}", ast.Return(ast.Constant(None))


def _name(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if node.id in _FUNCTIONS:
        yield from _instead(node, ast.Name(_FUNCTIONS[node.id], node.ctx))


def _attribute(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if node.attr in _METHODS:
        yield from _instead(node, ast.Attribute(node.value, _METHODS[node.attr], node.ctx))


def _call(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.func, ast.Attribute) and node.func.attr in _TIDYING and not node.args:
        yield from _instead(node, node.func.value)


def _slice(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.slice, ast.Slice) and isinstance(node.ctx, ast.Load):
        yield from _instead(node, node.value)


def _guard(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue | ast.Break) and not node.orelse:
        yield f"without the guard: if {shown(node.test)}", ast.Pass()


def _condition(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    """The condition of an `if` that is nothing that has a change of its own."""
    if isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        return
    negated = _negated(node.test)
    other = (
        ast.If(negated, node.body, node.orelse)
        if isinstance(node, ast.If)
        else ast.IfExp(negated, node.body, node.orelse)
    )
    yield f"if {shown(node.test)} -> if {shown(negated)}", other


def _statement(node: Any, place: Place) -> Iterator[tuple[str, ast.AST]]:
    """One that does something to what outlives the function. In a constructor nothing would work without."""
    match node:
        case ast.Raise() if place.alone:
            return
        case ast.Expr(value=value) if not isinstance(value, ast.Call | ast.Await):
            return
        case ast.Assign(targets=targets) if place.names[-1:] == ("__init__",) or not any(
            isinstance(one, ast.Attribute | ast.Subscript) for one in targets
        ):
            return
    yield f"without: {shown(node)}", ast.Pass()


def _with(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    for number, item in enumerate(node.items):
        if item.optional_vars is None:
            items = node.items[:number] + node.items[number + 1 :]
            without = ast.With(items, node.body) if items else ast.If(ast.Constant(True), node.body, [])
            yield f"without: with {shown(item)}", without


def _handler(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node.body[-1], ast.Raise):
        kind = "" if node.type is None else f" {shown(node.type)}"
        yield f"not caught: except{kind}", ast.ExceptHandler(node.type, node.name, [ast.Raise()])


def _filter(node: Any, _place: Place) -> Iterator[tuple[str, ast.AST]]:
    for number, one in enumerate(node.ifs):
        ifs = node.ifs[:number] + node.ifs[number + 1 :]
        yield (
            f"also where not: if {shown(one)}",
            ast.comprehension(node.target, node.iter, ifs, node.is_async),
        )


def _table(node: Any, place: Place) -> Iterator[tuple[str, ast.AST]]:
    """A set or dictionary of the module or a class, without one of its entries."""
    if place.in_function:
        return
    if isinstance(node, ast.Set):
        for number, one in enumerate(node.elts):
            left = node.elts[:number] + node.elts[number + 1 :]
            yield f"without the entry {shown(one)}", ast.Set(left)
    elif isinstance(node, ast.Dict):
        for number, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            name = f"**{shown(value)}" if key is None else shown(key)
            keys = node.keys[:number] + node.keys[number + 1 :]
            values = node.values[:number] + node.values[number + 1 :]
            yield f"without the entry {name}", ast.Dict(keys, values)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


_RULES: dict[type[ast.AST], tuple[Rule, ...]] = {
    ast.Compare: (_comparison,),
    ast.BoolOp: (_and_or,),
    ast.UnaryOp: (_not,),
    ast.BinOp: (_operator,),
    ast.Constant: (_constant,),
    ast.Return: (_return,),
    ast.Name: (_name,),
    ast.Attribute: (_attribute,),
    ast.Call: (_call,),
    ast.Subscript: (_slice,),
    ast.If: (_guard, _condition),
    ast.IfExp: (_condition,),
    ast.Raise: (_statement,),
    ast.Expr: (_statement,),
    ast.Assign: (_statement,),
    ast.AugAssign: (_statement,),
    ast.Delete: (_statement,),
    ast.With: (_with,),
    ast.ExceptHandler: (_handler,),
    ast.comprehension: (_filter,),
    ast.Set: (_table,),
    ast.Dict: (_table,),
}
