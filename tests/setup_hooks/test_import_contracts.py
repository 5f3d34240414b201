"""The import contracts of pyproject.toml: each direction that one forbids is planted, and must be caught."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

ROOT = Path(__file__).parents[2]
PACKAGE = "connvault_jupyter"
CONFIGURATION = read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS: list[dict[str, Any]] = CONFIGURATION["contracts_options"]
KINDS = {"layers": LayersContract, "forbidden": ForbiddenContract}

Direction = tuple[str, str]
"""(the module that imports, what it may not import)."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)


def forbidden_directions(contract: Mapping[str, Any]) -> Iterator[Direction]:
    """All of a contract; KeyError: of a type that is not known here."""
    match contract["type"]:
        case "layers":
            for container in contract.get("containers", [""]):
                yield from _upward([_modules(layer, container) for layer in contract["layers"]])
                for layer in contract["layers"]:
                    if ":" not in layer:
                        yield from itertools.permutations(_modules(layer, container), 2)
        case "forbidden":
            yield from itertools.product(contract["source_modules"], contract["forbidden_modules"])
        case unknown:
            raise KeyError(unknown)


def _upward(layers: list[list[str]]) -> Iterator[Direction]:
    for above, below in itertools.combinations(layers, 2):
        yield from itertools.product(below, above)


def _modules(layer: str, container: str) -> list[str]:
    names = (name.strip() for name in layer.replace("|", ":").split(":"))
    return [f"{container}.{name}" if container else name for name in names]


def is_kept(contract: Mapping[str, Any], graph: grimp.ImportGraph) -> bool:
    made = KINDS[contract["type"]](
        name=contract["name"],
        session_options=CONFIGURATION["session_options"],
        contract_options=dict(contract),
    )
    # A check takes out of the graph what the contract ignores.
    return made.check(deepcopy(graph), verbose=False).kept


def narrowed(contract: Mapping[str, Any], direction: Direction) -> dict[str, Any]:
    """The contract with one of its directions, where each can be looked at alone."""
    if contract["type"] == "layers":
        return dict(contract)
    importer, imported = direction
    return {**contract, "source_modules": [importer], "forbidden_modules": [imported]}


@pytest.mark.parametrize("contract", CONTRACTS, ids=[contract["name"] for contract in CONTRACTS])
def test_an_import_in_any_forbidden_direction_breaks_the_contract(
    contract: dict[str, Any], graph: grimp.ImportGraph
) -> None:
    """And without it the contract is kept."""
    assert is_kept(contract, graph)
    directions = list(forbidden_directions(contract))
    assert directions
    uncaught = []
    for importer, imported in directions:
        planted = deepcopy(graph)
        planted.add_import(importer=importer, imported=imported, line_number=1, line_contents="planted")
        if is_kept(narrowed(contract, (importer, imported)), planted):
            uncaught.append((importer, imported))
    assert not uncaught


@pytest.mark.parametrize(
    "contract",
    [contract for contract in CONTRACTS if contract.get("exhaustive")],
    ids=lambda contract: str(contract["containers"][0]),
)
def test_a_module_that_has_no_layer_breaks_the_contract(
    contract: dict[str, Any], graph: grimp.ImportGraph
) -> None:
    """So a stray file has to be given its place."""
    planted = deepcopy(graph)
    planted.add_module(f"{contract['containers'][0]}.stray")
    assert not is_kept(contract, planted)


def test_the_linter_finds_a_planted_import_of_each_contract(tmp_path: Path) -> None:
    """The command that `make check` runs, on a copy: it says yes before, and names every contract afterwards."""
    shutil.copytree(
        ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "labextension")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert lint(tmp_path).returncode == 0
    for contract in CONTRACTS:
        importer, imported = next(forbidden_directions(contract))
        with _file_of(tmp_path, importer).open("a", encoding="utf-8") as stream:
            stream.write(f"\nimport {imported}\n")
    found = lint(tmp_path)
    assert found.returncode == 1
    broken = [contract["name"] for contract in CONTRACTS if f"{contract['name']} BROKEN" in found.stdout]
    assert broken == [contract["name"] for contract in CONTRACTS]


def _file_of(folder: Path, module: str) -> Path:
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        cwd=folder,
        # Names are not to be wrapped.
        env={**os.environ, "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_layers_of_the_house_are_those_that_the_docs_draw(page: str) -> None:
    """Lowest first there, highest first in the contract."""
    (house,) = (contract for contract in CONTRACTS if contract.get("containers") == [PACKAGE])
    text = (ROOT / page).read_text(encoding="utf-8")
    drawn = re.search(r"^    handle_end_reasons -> .*\n(?:    .*\n)*", text, re.MULTILINE)
    assert drawn is not None
    layers = [" ".join(layer.strip("( )").split()) for layer in " ".join(drawn[0].split()).split("->")]
    assert layers == house["layers"][::-1]


def test_the_notebook_side_imports_itself_errors_and_what_both_ends_share(graph: grimp.ImportGraph) -> None:
    """Said once more, from the other end: what the contract lists as forbidden could lack something."""
    sides = ("kernel", "widgets", "notebook", "cli")
    allowed = {
        "contracts.frames", "contracts.relay_wire", "contracts.request_limits", "contracts.secret_words",
        "handle_end_reasons", "_version",
        # The launcher's, which closes its own process as a broker does.
        "broker.hardening", "broker.unreadable_exec", "broker.waiting_parent",
        # The commands about the activity log and the vault, which `cli.main` imports only when they are called.
        "contracts.audit", "contracts.operations", "services.audit.exported", "services.audit.exported_check",
        "services.audit.exported_findings", "contracts.transfer", "services.secrets.slots", "vault.held_secrets",
        "vault.request_sealing", "broker.pid_namespaces", "storage.migration",
    }  # fmt: skip
    found = {
        imported.removeprefix(f"{PACKAGE}.")
        for side in sides
        for module in [f"{PACKAGE}.{side}", *graph.find_descendants(f"{PACKAGE}.{side}")]
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith(f"{PACKAGE}.")
    }
    others = {name for name in found if name.partition(".")[0] not in {*sides, "errors"}}
    assert others <= allowed


@pytest.mark.parametrize("module", ["frames", "relay_wire", "request_limits", "secret_words"])
def test_what_both_ends_share_imports_the_standard_library_alone(
    module: str, graph: grimp.ImportGraph
) -> None:
    """But for the errors, which import nothing either."""
    found = graph.find_upstream_modules(f"{PACKAGE}.contracts.{module}")
    others = {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[1] if "." in name else name for name in others} <= {
        "errors",
        "handle_end_reasons",
    }
