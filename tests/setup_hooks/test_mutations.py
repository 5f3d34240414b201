"""Each rule of `make mutants` makes the change that it says, in the place that it says, and no other."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from setup_hooks.mutations import mutated, mutations

# Code of a function's body, and what it may become.
CHANGED: dict[str, tuple[str, list[str]]] = {
    "comparison": ("return a < b", ["return a <= b", "return None"]),
    "chain of comparisons": ("a <= b < c", ["a < b < c", "a <= b <= c"]),
    "membership": ("x = a in b", ["x = a not in b"]),
    "and": ("x = a and b and c", ["x = a or b or c", "x = b and c", "x = a and c", "x = a and b"]),
    "or": ("x = a or b", ["x = a and b", "x = b", "x = a"]),
    "not": ("x = not a", ["x = a"]),
    "number": ("x = 7", ["x = 8"]),
    "truth": ("x = True", ["x = False"]),
    "word": ("x = 'revoked'", ["x = 'revoked~'"]),
    "octets": ("x = b'v1'", ["x = b'v1~'"]),
    "message": ("x = 'for people'", []),
    "arithmetic": ("x = a + b", ["x = a - b"]),
    "union": ("x = a | b", ["x = a", "x = b"]),
    "match": ("x = p.fullmatch(t)", ["x = p.match(t)"]),
    "any": ("x = any(a)", ["x = all(a)"]),
    "tidying": ("x = a.strip()", ["x = a"]),
    "slice": ("x = a[:n]", ["x = a"]),
    "guard": ("if a:\n    raise X", ["pass", "if not a:\n    raise X"]),
    "guard that returns": ("if a < b:\n    return", ["pass", "if a <= b:\n    return"]),
    "condition": ("if a:\n    x = y\nelse:\n    x = z", ["if not a:\n    x = y\nelse:\n    x = z"]),
    "call for its effect": ("f(a)", ["pass"]),
    "attribute": ("self.a = b", ["pass"]),
    "local name": ("a = b", []),
    "deleted entry": ("del a[b]", ["pass"]),
    "context": ("with a, b:\n    f = g", ["with b:\n    f = g", "with a:\n    f = g"]),
    "only context": ("with a:\n    f = g", ["if True:\n    f = g"]),
    "context with a name": ("with a as b:\n    f = g", []),
    "handler": (
        "try:\n    a = b\nexcept E:\n    a = c",
        ["try:\n    a = b\nexcept E:\n    raise"],
    ),
    "filter": ("x = [a for a in b if c]", ["x = [a for a in b]"]),
    "assertion": ("assert a < b", []),
    "formatted text": ("x = f'{a}b'", []),
    "annotation": ("x: 'Word' = a", []),
    "cast": ("x = cast('Word', a)", []),
}


def function(body: str) -> str:
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return ast.unparse(ast.parse(f"def f(self, a, b):\n{indented}"))


@pytest.mark.parametrize(("code", "others"), CHANGED.values(), ids=CHANGED)
def test_a_piece_of_code_has_these_mutations_and_no_others(code: str, others: list[str]) -> None:
    """Each alone, the rest as it was."""
    source = function(code)
    made = [mutated(source, one).strip() for one in mutations(source)]
    assert sorted(made) == sorted(function(other) for other in others)


def test_a_bool_that_is_returned_becomes_its_opposite() -> None:
    """`None` would be taken for a no, and be noticed by types alone."""
    source = "def f(a) -> bool:\n    return g(a)\n"
    (one,) = mutations(source)
    assert mutated(source, one) == "def f(a) -> bool:\n    return not g(a)\n"


def test_a_table_of_the_module_loses_one_entry_at_a_time() -> None:
    """Sets and dictionaries are rules as well."""
    source = "A = frozenset({x, y})\nB = {x: y, z: y}\n"
    made = [mutated(source, one).splitlines() for one in mutations(source)]
    assert made == [
        ["A = frozenset({y})", "B = {x: y, z: y}"],
        ["A = frozenset({x})", "B = {x: y, z: y}"],
        ["A = frozenset({x, y})", "B = {z: y}"],
        ["A = frozenset({x, y})", "B = {x: y}"],
    ]


def test_protocols_enumerations_docstrings_and_decorators_have_no_mutations() -> None:
    """Nothing of them runs, or no test should hold it in place."""
    source = dedent(
        '''
        """Module."""
        from typing import Literal
        Word = Literal["a", "b"]
        __all__ = ["Word"]
        Text = str | None
        class Port(Protocol):
            def f(self, a=1): ...
        class State(Enum):
            OPEN = "open"
        @dataclass(frozen=True)
        class Value(Base["x"]):
            """Class."""
            a: Literal["a"]
        '''
    )
    assert mutations(source) == []


def test_a_mutation_is_named_by_where_it_is_and_what_it_does() -> None:
    """Two of one name in one function have numbers: a list of them must not mean both."""
    source = "class A:\n    def f(self):\n        g(1)\n        g(1)\n"
    assert [(one.line, one.where, one.change) for one in mutations(source)] == [
        (3, "A.f", "without: g(1)"),
        (3, "A.f", "1 -> 2"),
        (4, "A.f", "without: g(1) (no. 2)"),
        (4, "A.f", "1 -> 2 (no. 2)"),
    ]


def test_a_module_without_a_mutation_does_what_it_did() -> None:
    """That it is written anew from its syntax tree changes nothing."""
    source = 'def f(a, b=1):\n    # Why.\n    return f"{a!r:>{b}}" if a else (b"\\x00", "\\ud800")\n'
    assert ast.dump(ast.parse(mutated(source, None))) == ast.dump(ast.parse(source))
