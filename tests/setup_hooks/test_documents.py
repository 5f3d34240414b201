"""What the documents name is there: files, modules, tests, targets of make, settings, openers, identifiers.

A renamed or removed one can't leave a sentence behind. What a document names is what stands in backticks, or indented
as code. CHANGELOG.md tells of versions that were: of it, only paths and links are looked at.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from connvault_jupyter.contracts import operations
from connvault_jupyter.kernel import families
from connvault_jupyter.kernel.handle import Handle
from connvault_jupyter.server.extension import ConnvaultExtension

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "connvault_jupyter"
FOLDERS = (
    ".ci", ".github", "connvault_jupyter", "docs", "labextension", "notebooks", "requirements", "setup_hooks", "tests",
)  # fmt: skip
MADE = {"node_modules", "lib", "__pycache__", "test-results"}
SOURCES = {".py", ".ts", ".tsx", ".json", ".toml", ".sql", ".yml", ".yaml", ".ipynb", ".java", ".txt", ".css"}

PATTERNS = ("*.md", "docs/**/*.md", "notebooks/*.ipynb", "tests/**/*.md")
DOCUMENTS = sorted(str(one.relative_to(ROOT)) for pattern in PATTERNS for one in ROOT.glob(pattern))
OF_NOW = [name for name in DOCUMENTS if name != "CHANGELOG.md"]
FOR_CONTRIBUTORS = ["CONTRIBUTING.md", "DECISIONS.md", "docs/architecture.md", "docs/extending.md"]

# Where a path that a document names may begin.
STARTS = (
    ROOT,
    PACKAGE,
    *(ROOT / place for place in ("labextension", "docs", "tests", "tests/attacks", "tests/support")),
)
TOP = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")} - {
    "labextension",
    "__pycache__",
}

CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
BLOCK = re.compile(r"^ {4}.*$|^```[\s\S]*?^```", re.MULTILINE)
SUFFIX = r"\.(?:py|md|json|toml|ts|tsx|svg|png|sql|ipynb|yml|yaml)"
PATH = re.compile(rf"[\w.<>*-]+(?:/[\w.<>*-]+)+/?|[\w<>*-]+{SUFFIX}|[a-z_]+/")
MODULE = re.compile(r"[a-z_]+(?:\.[A-Za-z_]+)+(?:\(\))?")
IDENTIFIER = re.compile(r"_?[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+|_?[A-Z][a-z]+(?:[A-Z][a-z]+)+")

# Bare names of files that are not of the tree: they are made, of other projects, or made up.
OF_OTHERS = {"bench.json", "env.py", "jupyter_server_config.py", "pdb.py", "report.py", "x.py"}


def quoted(text: str) -> list[str]:
    """What stands in backticks, on one line each."""
    return [" ".join(found.split()) for found in CODE.findall(text)]


def missing_paths(text: str) -> list[str]:
    return [one for one in quoted(text) if PATH.fullmatch(one) and is_ours(one) and not exists(one)]


def missing_modules(text: str) -> list[str]:
    """`relays.upstream.connect`: a module of the package, and what it has of that name."""
    asked = {operation.name for operation in operations.OPERATIONS}
    names = [
        one.removesuffix("()")
        for one in quoted(text)
        if MODULE.fullmatch(one) and not re.search(SUFFIX + r"\Z", one) and one not in asked
    ]
    return [one for one in names if one.split(".")[0] in TOP | {PACKAGE.name} and not resolves(one)]


def missing_tests(text: str) -> list[str]:
    """By the function's name, or the file's."""
    return sorted({one for one in quoted(text) if re.fullmatch(r"test_\w+", one)} - defined_tests())


def missing_targets(text: str) -> list[str]:
    """Of make, and the variables that it and the programs are given."""
    code = "\n".join([*quoted(text), *BLOCK.findall(text)])
    targets = re.findall(
        r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    variables = re.findall(r"\b(?:MATRIX|COMPATIBILITY|FUZZ|CONNVAULT|BROWSER)_[A-Z_]+\b", code)
    asked = re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)
    return sorted((set(asked) - set(targets)) | (set(variables) - words()))


def missing_settings(text: str) -> list[str]:
    """`ConnvaultExtension.name`, or the name as a link to the page of settings."""
    named = set(re.findall(r"ConnvaultExtension\.(\w+)", text))
    named |= set(re.findall(r"`(\w+)`\]\([\w./]*settings\.md\)", text))
    return sorted(named - set(ConnvaultExtension.class_own_traits(config=True)))


def missing_openers(text: str) -> list[str]:
    """`.connect()`: of some family of handles."""
    known = {member for family in handles() for member in dir(family)}
    named = {found[1] for one in quoted(text) if (found := re.match(r"\.([a-z_]+)(?:\(|\Z)", one))}
    # SQLAlchemy's own, of an engine's URL.
    return sorted(named - known - {"set"})


def missing_identifiers(text: str) -> list[str]:
    """`_CAN_HAND_OVER`, `ConnectionViews`: as a word of some source. Names of the system are there too."""
    return sorted({one for one in quoted(text) if IDENTIFIER.fullmatch(one)} - words() - defined_tests())


def handles() -> Iterator[type[Handle]]:
    yield Handle
    yield from (one for one in vars(families).values() if isinstance(one, type) and issubclass(one, Handle))


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, but for what is made and this one, which names what is not there."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + list(ROOT.iterdir())
    return tuple(
        path
        for path in found
        if path.is_file()
        and not MADE & set(path.relative_to(ROOT).parts)
        and path != Path(__file__).resolve()
    )


@cache
def words() -> frozenset[str]:
    """Every word of the sources."""
    texts = (
        path.read_text(encoding="utf-8", errors="replace")
        for path in files()
        if path.suffix in SOURCES or path.name == "Makefile"
    )
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


@cache
def defined_tests() -> frozenset[str]:
    found = [path for path in files() if path.name.startswith("test_") and path.suffix == ".py"]
    functions = (re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")) for path in found)
    return frozenset({path.stem for path in found}.union(*functions))


@cache
def exists(path: str) -> bool:
    """Below one of the places where documents begin; `<name>` stands for any. A bare file name: anywhere."""
    pattern = re.sub(r"<\w+>|\*+", "*", path.rstrip("/"))
    if any(next(start.glob(pattern), None) for start in STARTS):
        return True
    routes = {http.path.strip("/") for _, http in operations.routed()}
    return path in routes or ("/" not in path and any(file.match(pattern) for file in files()))


def is_ours(path: str) -> bool:
    """Whether it speaks of the project's tree, and not of a service's, the machine's or what is made."""
    first = path.split("/", 1)[0]
    return path not in OF_OTHERS and ("/" not in path or first in TOP | {*FOLDERS, "src"})


def resolves(dotted: str) -> bool:
    parts = dotted.removeprefix(f"{PACKAGE.name}.").split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join([PACKAGE.name, *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# The tables of this one are made of what others' suites and scripts are called.
@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "docs/compatibility.md"])
def test_a_path_that_a_document_names_exists(name: str) -> None:
    """In the tree, by the whole path."""
    assert missing_paths(text_of(name)) == []


@pytest.mark.parametrize("name", OF_NOW)
def test_a_module_that_a_document_names_exists(name: str) -> None:
    """It is imported, and has what is named."""
    assert missing_modules(text_of(name)) == []


@pytest.mark.parametrize("name", [name for name in OF_NOW if name != "docs/compatibility.md"])
def test_a_test_that_a_document_names_exists(name: str) -> None:
    """So that no claim outlives its test."""
    assert missing_tests(text_of(name)) == []


@pytest.mark.parametrize("name", OF_NOW)
def test_a_make_target_that_a_document_names_exists(name: str) -> None:
    """And its variables."""
    assert missing_targets(text_of(name)) == []


@pytest.mark.parametrize("name", OF_NOW)
def test_a_setting_that_a_document_names_exists(name: str) -> None:
    """It is a trait."""
    assert missing_settings(text_of(name)) == []


@pytest.mark.parametrize("name", ["README.md", "docs/deliveries.md", "notebooks/first_steps.ipynb"])
def test_an_opener_that_a_document_names_exists(name: str) -> None:
    """Whatever begins with a dot there is an opener."""
    assert missing_openers(text_of(name)) == []


@pytest.mark.parametrize("name", FOR_CONTRIBUTORS)
def test_an_identifier_that_a_document_for_contributors_names_exists(name: str) -> None:
    """Also those of walk-throughs."""
    made_up = {"ConnectionNamed"} if name == "docs/extending.md" else set()
    assert set(missing_identifiers(text_of(name))) - made_up == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_link_leads_to_a_file(name: str) -> None:
    """Of the tree. `make docs` looks at the headings that links name."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", CODE.sub("", text_of(name)))
    ours = [link for link in links if "://" not in link]
    assert [link for link in ours if not ((ROOT / name).parent / link).exists()] == []


# What a document quotes of the page, of forms and of errors, word for word.
QUOTED = [
    ("README.md", "Save and test"),
    ("README.md", "Insert code"),
    ("README.md", "Activity"),
    ("README.md", "Who may use it"),
    ("README.md", "It is not stored. If you lose it, nobody can recover the saved secrets."),
    ("notebooks/first_steps.ipynb", "None (a database on this machine)"),
    ("notebooks/first_steps.ipynb", "Who may use it"),
    ("docs/deliveries.md", "Any database of the server"),
    ("docs/deliveries.md", "and any other database"),
    ("docs/deliveries.md", "Keep sessions for the next client"),
    ("docs/deliveries.md", "Let notebook code ask for the plain text"),
    ("docs/deliveries.md", "Let the server read local files"),
    ("docs/deliveries.md", "may be revealed"),
    ("docs/deliveries.md", "Sign only logins that name the host's key"),
    ("docs/deliveries.md", "Which of the servers"),
    ("docs/deliveries.md", "until this kernel stops"),
    ("docs/processes.md", "This server is not protected from your other programs."),
    ("docs/processes.md", "connvault is less protected here than it should be."),
    ("docs/processes.md", "Try again"),
]


@cache
def shown() -> str:
    """The sources of what people read, without line ends."""
    places = [PACKAGE, ROOT / "labextension" / "src"]
    read = [
        path for path in files() if path.suffix in SOURCES and any(place in path.parents for place in places)
    ]
    return re.sub(r"\s+", " ", "\n".join(path.read_text(encoding="utf-8") for path in read))


@pytest.mark.parametrize(("name", "words"), QUOTED)
def test_what_a_document_quotes_is_what_people_see(name: str, words: str) -> None:
    """In the document, and in the source of the page, of a form or of a message."""
    assert words in re.sub(r"\s+", " ", text_of(name).replace('\\n",', "").replace('"', "")), (
        "no longer quoted"
    )
    assert words in shown()


PLANTED: list[tuple[Callable[[str], list[str]], str, list[str]]] = [
    (
        missing_paths,
        "`services/gone.py`, `tests/`, `gone.py`, `/proc/net/tcp`",
        ["services/gone.py", "gone.py"],
    ),
    (
        missing_paths,
        "`relays/<protocol>/gone.py`, `relays/<protocol>/relay.py`",
        ["relays/<protocol>/gone.py"],
    ),
    (missing_modules, "`services.gone`, `providers.list`, `http.cookiejar`", ["services.gone"]),
    (missing_modules, "`relays.upstream.gone`, `relays.upstream.connect()`", ["relays.upstream.gone"]),
    (missing_tests, "`test_what_nobody_wrote`, `test_documents`", ["test_what_nobody_wrote"]),
    (missing_targets, "`make gone`, then\n\n    make bench CONNVAULT_GONE=1\n", ["CONNVAULT_GONE", "gone"]),
    (missing_settings, "`c.ConnvaultExtension.gone = 1`, [`away`](settings.md)", ["away", "gone"]),
    (missing_openers, "`.connect()`, `.gone()`, `.url`", ["gone"]),
    (missing_identifiers, "`_GONE_AWAY`, `GoneAway`, `_CAN_HAND_OVER`", ["GoneAway", "_GONE_AWAY"]),
]


@pytest.mark.parametrize(("look", "text", "missing"), PLANTED)
def test_a_name_of_nothing_is_found(look: Callable[[str], list[str]], text: str, missing: list[str]) -> None:
    """Of each sort, beside one that is there: else the tests above could be blind."""
    assert look(text) == missing
