"""`make mutants` tells what a test noticed from what none did, and trusts no test that can't fail."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from setup_hooks import mutants
from setup_hooks.generated import ROOT
from setup_hooks.mutants import Plan, Result, Runner, Tree, _environment, all_of, chosen, table

PLAN = Plan(mutants.PLAN.read_text("utf-8"))

RULE = "connvault_jupyter/rule.py"
TEST = "tests/test_rule.py"


def plan(**changes: Any) -> Plan:
    return Plan(json.dumps({"tests": {RULE: [TEST]}, "in_process": [], "equivalent": []} | changes))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one rule and one test that knows half of it."""
    # Its tests need no plugins, and would wait for them each time.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "checkout"
    for name, text in {
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
        "connvault_jupyter/__init__.py": "",
        RULE: "def f(a):\n    if a < 0:\n        return 0\n    return a\n",
        TEST: "from connvault_jupyter.rule import f\n\ndef test_f():\n    assert f(-1) == 0\n    assert f(2) == 2\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_what_no_test_notices_survives(checkout: Path, tmp_path: Path) -> None:
    """And what one notices does not; the checkout itself is left as it was."""
    before = (checkout / RULE).read_text()
    tree = Tree(tmp_path / "tree", checkout)
    guard, boundary, *_ = all_of([RULE], checkout)
    results = Runner(plan(), checkout, [tree]).run([guard, boundary])
    assert {one.change: one.outcome for one in results} == {
        "without the guard: if a < 0": "killed",
        "a < 0 -> a <= 0": "survived",
    }
    assert (checkout / RULE).read_text() == before == (tree.folder / RULE).read_text()


def test_a_change_that_never_ends_is_noticed_by_that(checkout: Path, tmp_path: Path) -> None:
    """After a while."""
    outcome = Tree(tmp_path / "tree", checkout).run(RULE, "while True:\n    pass\n", [TEST], 3)
    assert outcome == "timed out"


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("def test_f():\n    assert False\n", "fail without any change"),
        ("def test_f(): ...\n", "pass without it"),
    ],
)
def test_tests_that_prove_nothing_stop_the_run(
    checkout: Path, tmp_path: Path, test: str, reason: str
) -> None:
    """Red before any change, or green whatever the module is."""
    (checkout / TEST).write_text(test)
    with pytest.raises(RuntimeError, match=reason):
        Runner(plan(), checkout, [Tree(tmp_path / "tree", checkout)]).run(all_of([RULE], checkout))


def test_in_one_process_a_change_is_tried_where_a_test_calls_it(tmp_path: Path) -> None:
    """With the tests that call it and no others; what is no function's code is left to the copies."""
    module = "connvault_jupyter/services/consent/question.py"
    named = {(one.mutation.where, one.mutation.change): one for one in all_of([module], ROOT)}
    noticed = named["after", "found is None -> found is not None"]
    table_of_the_module = named["", "without the entry (State.PENDING, Happening.ALLOWED)"]
    never_called = named["Questions.get", "nothing instead: return self._by_id.get(question_id)"]
    known = plan(tests={module: ["tests/services/test_question_states.py"]}, in_process=[module])
    tried = [noticed, table_of_the_module, never_called]
    assert mutants.in_process(known, tried, folder=tmp_path, workers=2) == {noticed: "killed"}
    told = [json.loads(line) for line in (tmp_path / "results.txt").read_text().splitlines()]
    assert sorted(told) == [[0, "killed"], [1, "elsewhere"], [2, "unreached"]]


def test_what_is_equivalent_is_not_tried_and_a_sample_is_the_same_for_a_seed(checkout: Path) -> None:
    """And what survived last time can be tried alone."""
    every = all_of([RULE], checkout)
    same = {"module": RULE, "where": "f", "change": "a < 0 -> a <= 0", "reason": "0 is 0"}
    known = plan(equivalent=[same])
    assert len(chosen(every, known, sample=0, seed=1)) == len(every) - 1
    assert chosen(every, known, sample=3, seed=1) == chosen(every, known, sample=3, seed=1)
    assert chosen(every, known, sample=3, seed=1) != chosen(every, known, sample=3, seed=3)
    last = [Result(RULE, 2, "f", one.mutation.change, "survived") for one in every[:2]]
    assert chosen(every, known, sample=0, seed=1, again=last) == [every[0]]


def test_the_table_counts_by_module(checkout: Path) -> None:
    """What ran too long was noticed."""
    every = all_of([RULE], checkout)
    results = [
        Result(RULE, 2, "f", "x", outcome) for outcome in ("killed", "survived", "timed out", "killed")
    ]
    assert table(every, plan(), results).splitlines()[2:] == [
        f"| {RULE} | 6 | 0 | 4 | 3 | 1 |",
        "| all | 6 | 0 | 4 | 3 | 1 |",
    ]


def test_each_module_of_the_plan_is_there_with_its_tests() -> None:
    """A path of before a rename would leave something out unseen."""
    for path, tests in PLAN.tests.items():
        assert (ROOT / path).exists(), path
        assert tests
        assert all((ROOT / test).exists() for test in tests), path


def test_each_equivalent_change_is_still_one_of_its_module_and_has_a_reason() -> None:
    """When the code changes, the judgement is to be made anew."""
    named = {one.named for one in all_of(sorted({module for module, _, _ in PLAN.equivalent}), ROOT)}
    assert not PLAN.equivalent.keys() - named
    assert all(PLAN.equivalent.values())


def test_the_mutants_that_people_have_found_are_among_those_that_are_made() -> None:
    """Five that once survived; each has a test by now."""
    found = {
        (
            "connvault_jupyter/providers/delivery_rules.py",
            "refused_variable",
            "_SAYS_WHERE.fullmatch -> _SAYS_WHERE.match",
        ),
        (
            "connvault_jupyter/services/secrets/service.py",
            "SecretsService._open",
            "without: with self._key_change.holding(None)",
        ),
        (
            "connvault_jupyter/services/access/resolve_cache.py",
            "ResolveCache.note",
            "without the operand not belongs(stored.grant, requester)",
        ),
        (
            "connvault_jupyter/services/connections/changes.py",
            "ConnectionChanges.delete",
            "without: self._revocation.void(connection, except_for=None, why='deleted')",
        ),
        ("connvault_jupyter/broker/dispatch.py", "", "200 -> 201"),
    }
    assert found <= {one.named for one in all_of(sorted({module for module, _, _ in found}), ROOT)}
    assert all(PLAN.tests_of(module) for module, _, _ in found)


def test_a_process_without_any_variable_finds_the_copy(tmp_path: Path) -> None:
    """Brokers and relays are started like that: a change of what runs in them would otherwise never be noticed."""
    package = tmp_path / "connvault_jupyter" / "__init__.py"
    package.parent.mkdir()
    package.touch()
    python = _environment(tmp_path / "environment", tmp_path)
    found = subprocess.run(
        [python, "-c", "import connvault_jupyter, pytest; print(connvault_jupyter.__file__)"],
        env={"PYTHONSAFEPATH": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(package)
