"""Where providers come from: a real installed package, data folders, and what happens to the bad ones."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.providers.conformance import ProviderConformance
from connvault_jupyter.providers.registry import ProviderCatalogue

CATALOGUE = ProviderCatalogue(packages=False)
BUILT_IN = {found.id for found in CATALOGUE.all()}

EXAMPLE: dict[str, Any] = {
    "id": "ticker",
    "name": "Ticker",
    "description": "Prices by the minute.",
    "category": "api",
    "icon": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M1 7 4 2l3 5"/></svg>',
    "fields": {
        "type": "object",
        "properties": {
            "base_url": {
                "type": "string",
                "format": "uri",
                "title": "Address",
                "x-order": 1,
                "x-destination": True,
            },
            "token": {"type": "string", "title": "Token", "writeOnly": True, "x-order": 2},
        },
        "required": ["base_url", "token"],
    },
    "destination": "{base_url}",
    "deliveries": [{"kind": "login", "mode": "in_clear", "client": "arguments", "openers": ["arguments"]}],
    "snippet": 'from connvault_jupyter import connection\nconnection("{name}").session().get("/now").json()',
}

Install = Callable[[str, str], None]


class TestExampleOfAThirdParty(ProviderConformance):
    """Somebody else's provider passes the shipped suite."""

    example: ClassVar = {"base_url": "https://ticker.example.com"}

    def definition(self) -> Any:
        return EXAMPLE


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package that is nothing but a module and its entry point, as pip would leave it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: list[str] = []

    def put(name: str, code: str) -> None:
        (site / f"{name}.py").write_text(textwrap.dedent(code))
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text("")
        (info / "entry_points.txt").write_text(
            f"[connvault_jupyter.providers_v1]\n{name} = {name}:providers\n"
        )
        modules.append(name)

    yield put
    for name in modules:
        sys.modules.pop(name, None)


def folder(path: Path, **files: Any) -> str:
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / f"{name}.json").write_text(text, encoding="utf-8")
    return str(path)


def reasons(catalogue: ProviderCatalogue) -> dict[str, str]:
    return {skipped.source: skipped.reason for skipped in catalogue.skipped()}


def test_a_package_brings_a_provider(install: Install) -> None:
    """By an entry point whose function gives dicts."""
    install(
        "ticker_package", f"import json\ndef providers():\n    return [json.loads({json.dumps(EXAMPLE)!r})]\n"
    )
    catalogue = ProviderCatalogue()
    found = catalogue.get("ticker")
    assert found is not None
    assert catalogue.destination(found, {"base_url": "https://t.example"}) == "https://t.example"
    assert catalogue.skipped() == ()


def test_a_package_may_give_definitions_as_objects(install: Install) -> None:
    """For those who like types: the same rules."""
    install(
        "typed_package",
        f"""
        import json
        from connvault_jupyter.contracts.providers import ProviderDefinition
        def providers():
            good = json.loads({json.dumps(EXAMPLE)!r})
            yield ProviderDefinition(**good)
            yield ProviderDefinition(**{{**good, "id": "bad", "fields": {{"type": "array"}}}})
        """,
    )
    catalogue = ProviderCatalogue()
    assert isinstance(catalogue.get("ticker"), ProviderDefinition)
    assert list(reasons(catalogue)) == ["package typed_package: typed_package (2)"]


def test_a_data_folder_brings_a_provider(tmp_path: Path) -> None:
    """A JSON file on the Jupyter data path is all it takes."""
    catalogue = ProviderCatalogue(directories=[folder(tmp_path / "a", ticker=EXAMPLE)], packages=False)
    assert catalogue.get("ticker") is not None
    names = [found.name for found in catalogue.all()]
    assert names == sorted([*(found.name for found in CATALOGUE.all()), "Ticker"], key=str.casefold)


FAILING = {
    "raises": ("def providers(): raise ValueError('canary')", "failed with ValueError"),
    "exits": ("import sys; sys.exit(1)", "failed with SystemExit"),
    "import_fails": ("import no_such_module_anywhere", "failed with ModuleNotFoundError"),
    "no_function": ("", "failed with AttributeError"),
    "not_callable": ("providers = 1", "failed with TypeError"),
    "gives_nothing": ("def providers(): return None", "failed with TypeError"),
    "gives_text": ("def providers(): return ['x']", "not a definition"),
    "gives_objects": ("def providers(): return [{'id': object()}]", "can't be written as JSON"),
    "gives_circles": (
        "def providers():\n    a = {}\n    a['a'] = a\n    return [a]",
        "can't be written as JSON",
    ),
    "gives_much": ("def providers(): return [{'x': 'y' * 70000}]", "larger than 64 KiB"),
    "gives_many": ("def providers(): return [{}] * 1000", "more than 200"),
    "gives_bad": ("def providers(): return [{}]", "is missing"),
}


@pytest.mark.parametrize(("code", "reason"), FAILING.values(), ids=FAILING)
def test_a_failing_package_takes_nobody_down(
    install: Install, tmp_path: Path, code: str, reason: str
) -> None:
    """It is named with its reason; all others are there; its own words are not repeated."""
    install("failing_package", code)
    catalogue = ProviderCatalogue(directories=[folder(tmp_path / "a", ticker=EXAMPLE)])
    assert {found.id for found in catalogue.all()} == BUILT_IN | {"ticker"}
    ((source, said),) = reasons(catalogue).items()
    assert source.startswith("package failing_package: failing_package")
    assert reason in said
    assert "canary" not in said


def test_a_bad_file_is_named_with_its_reason(tmp_path: Path) -> None:
    """Each its own; a good one beside them is used."""
    path = tmp_path / "a"
    directory = folder(
        path,
        broken="{\n  oops",
        empty="",
        big=json.dumps({"x": "y" * 70_000}),
        good=EXAMPLE,
        wrong={**EXAMPLE, "fields": {}},
    )
    (path / "latin.json").write_bytes(b'{"name": "\xe9"}')
    (path / "folder.json").mkdir()
    (path / "notes.txt").write_text("not looked at")
    catalogue = ProviderCatalogue(directories=[directory, str(tmp_path / "missing")], packages=False)
    assert catalogue.get("ticker") is not None
    assert {Path(source).name: reason for source, reason in reasons(catalogue).items()} == {
        "broken.json": "It is not valid JSON (line 2).",
        "empty.json": "It is not valid JSON (line 1).",
        "big.json": "The file is larger than 64 KiB.",
        "latin.json": "The file is not UTF-8 text.",
        "folder.json": "The file can't be read (IsADirectoryError).",
        "wrong.json": 'fields must have "type": "object" and "properties".',
    }


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_of_64_kib_is_the_largest_that_is_taken(tmp_path: Path, more: int) -> None:
    """In bytes, with whatever spaces somebody put there."""
    text = json.dumps(EXAMPLE).encode()
    (tmp_path / "ticker.json").write_bytes(text.ljust(64 * 1024 + more))
    catalogue = ProviderCatalogue(directories=[str(tmp_path)], packages=False)
    assert (catalogue.get("ticker") is None) == bool(more)
    assert [one.reason for one in catalogue.skipped()] == ["The file is larger than 64 KiB."] * more


@pytest.mark.parametrize("provider_id", ["postgresql", "http", "secret"])
def test_a_built_in_id_cannot_be_taken(install: Install, tmp_path: Path, provider_id: str) -> None:
    """Neither by a package nor by a file: a look-alike could send the password elsewhere."""
    impostor = {**EXAMPLE, "id": provider_id, "name": "Impostor"}
    install(
        "impostor_package",
        f"import json\ndef providers():\n    return [json.loads({json.dumps(impostor)!r})]\n",
    )
    catalogue = ProviderCatalogue(directories=[folder(tmp_path / "a", x=impostor)])
    assert "Impostor" not in {found.name for found in catalogue.all()}
    said = list(reasons(catalogue).values())
    assert said == [f"The id {provider_id} is already taken (built in: {provider_id}.json)."] * 2


@pytest.mark.parametrize(
    "name", ["PostgreSQL", "postgresql", " Postgre SQL\u200b", "\uff30ostgreSQL", "PostgreSQL\u00a0"]
)
def test_a_name_that_reads_like_a_built_in_ones_cannot_be_taken(tmp_path: Path, name: str) -> None:
    """People decide by what they read in the question."""
    catalogue = ProviderCatalogue(directories=[folder(tmp_path, x={**EXAMPLE, "name": name})], packages=False)
    assert catalogue.get("ticker") is None
    assert list(reasons(catalogue).values()) == [
        "postgresql already has this name (built in: postgresql.json)."
    ]


def test_of_two_with_one_id_the_first_wins(install: Install, tmp_path: Path) -> None:
    """Packages before folders, folders in their order."""
    first = folder(tmp_path / "a", x={**EXAMPLE, "name": "First"})
    second = folder(tmp_path / "b", x={**EXAMPLE, "name": "Second"})
    catalogue = ProviderCatalogue(directories=[first, second], packages=False)
    found = catalogue.get("ticker")
    assert found is not None
    assert found.name == "First"
    ((source, reason),) = reasons(catalogue).items()
    assert source == str(tmp_path / "b" / "x.json")
    assert str(tmp_path / "a" / "x.json") in reason


def test_only_allowed_providers_are_there(tmp_path: Path) -> None:
    """What an administrator did not allow does not exist; an id that is built in stays taken all the same."""
    directory = folder(tmp_path / "a", x=EXAMPLE, y={**EXAMPLE, "id": "http"})
    catalogue = ProviderCatalogue(directories=[directory], allowed=["ticker"], packages=False)
    assert [found.id for found in catalogue.all()] == ["ticker"]
    assert catalogue.get("http") is None
    assert ProviderCatalogue(allowed=[], packages=False).all() == []


def test_names_from_outside_are_cleaned(tmp_path: Path) -> None:
    """A file name may hold anything, and is shown in the panel and the log."""
    path = tmp_path / "a"
    path.mkdir()
    (path / "x\u202egnp\n.json").write_text("{")
    (skipped,) = ProviderCatalogue(directories=[str(path)], packages=False).skipped()
    assert "\u202e" not in skipped.source
    assert "\n" not in skipped.source


def test_the_source_of_a_skipped_provider_is_cut_when_it_is_long(tmp_path: Path) -> None:
    """It is a line for people; a path is cut at its end."""
    path = tmp_path.joinpath("deep" * 50, "deeper" * 40)
    path.mkdir(parents=True)
    (path / "broken.json").write_text("{")
    (skipped,) = ProviderCatalogue(directories=[str(path)], packages=False).skipped()
    assert skipped.source == str(path)[:400]


def test_skipped_providers_are_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For those who have no panel at hand."""
    ProviderCatalogue(directories=[folder(tmp_path / "a", x="{")], packages=False)
    assert "provider skipped" in caplog.text
    assert "It is not valid JSON" in caplog.text


def test_a_definition_from_elsewhere_is_judged_by_its_own_schema() -> None:
    """The same id does not make it the same provider."""
    catalogue = ProviderCatalogue(packages=False)
    ours = catalogue.get("http")
    assert ours is not None
    other = ProviderDefinition(**{**EXAMPLE, "id": "http"})
    assert catalogue.missing_secrets(ours, {"auth": "none"}, frozenset()) == frozenset()
    assert catalogue.missing_secrets(other, {"auth": "none"}, frozenset()) == {"token"}
    assert catalogue.missing_secrets(ours, {"auth": "none"}, frozenset()) == frozenset()
