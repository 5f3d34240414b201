"""A project's file in the hands of whoever can change the project: it leads no secret anywhere, and grants nothing.

A real broker whose root is `home`, a project in `home/shop`, a person by rule, and notebooks that are real processes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.errors import (
    ConnvaultError,
    InvalidFields,
    NameTaken,
    WorkspaceFileChanged,
    WorkspaceFileInvalid,
)
from tests.attacks.conftest import by_reason
from tests.support.broker.edited_database import database, refused
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import RequesterProcess
from tests.support.canary import CANARY
from tests.support.services.projects import FIELDS, Project

OTHER = {**FIELDS, "host": "test.example.org"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The server's root, with something around it."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        home = Path(name).resolve() / "home"
        home.mkdir()
        yield home


@pytest.fixture(scope="module")
def notebooks(folder: Path) -> Iterator[Notebooks]:
    """Nobody has to wait after a no."""
    with operated_broker(folder, rule=by_reason, consent=ConsentSettings(cooldown_s=0)) as (operator, path):
        yield Notebooks(operator, home=folder, socket_path=path)


@pytest.fixture
def shop(notebooks: Notebooks, folder: Path) -> Iterator[Project]:
    """Two connections, accepted, each with a secret. Afterwards nothing of it is left."""
    project = Project(folder / "shop")
    project.root.mkdir()
    project.put("prod", name="warehouse")
    project.put("test", name="playground", fields=OTHER)
    for identity in ("prod", "test"):
        accept(notebooks, identity)
    yield project
    for view in notebooks.operator.call("connections.list")["connections"]:
        body = {"id": view["connection"]["id"], "revision": view["connection"]["revision"]}
        forget = "workspaces.forget" if view["connection"]["workspace"] else "connections.delete"
        notebooks.operator.call(forget, body)
    for file in sorted(project.root.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    project.root.rmdir()


@pytest.fixture
def a(notebooks: Notebooks, shop: Project) -> Iterator[RequesterProcess]:
    """A notebook of the project, with an `always` for both connections."""
    with notebooks.open("shop/a.ipynb") as process:
        for handle, name in (("h", "warehouse"), ("g", "playground")):
            process.run(f"{handle} = connection({name!r}, reason='always'); {handle}._handle_ref.deliver()")
        yield process


def listed(notebooks: Notebooks, path: str = "shop/a.ipynb") -> dict[str, Any]:
    found: dict[str, Any] = notebooks.operator.call("workspaces.list", {"paths": [path]})["workspaces"][0]
    return found


def entry(notebooks: Notebooks, identity: str, path: str = "shop/a.ipynb") -> dict[str, Any]:
    return next(dict(one) for one in listed(notebooks, path)["entries"] if one["id"] == identity)


def accept(notebooks: Notebooks, identity: str, path: str = "shop/a.ipynb", **changes: Any) -> dict[str, Any]:
    body = {
        "workspace": {"root": listed(notebooks, path)["root"], "id": identity},
        "digest": entry(notebooks, identity, path)["digest"],
        "secrets": {"password": {"value": CANARY}},
        **changes,
    }
    return notebooks.operator.call("workspaces.accept", body)


def stopped(notebooks: Notebooks, a: RequesterProcess, name: str, handle: str, reason: str) -> None:
    """Neither an old handle nor an old `always` gives anything, and nobody is asked."""
    asked = len(notebooks.asked())
    kind = "WorkspaceFileInvalid" if reason == "" else "ConnectionNotReady"
    assert refused(a, f"{handle}._handle_ref.deliver()") == (kind, reason)
    assert refused(a, f"connection({name!r}, reason='always')") == (kind, reason)
    assert len(notebooks.asked()) == asked


EDITS: dict[str, dict[str, Any]] = {
    "another host": {"host": "evil.example.org"},
    "another user": {"user": "root"},
    "another database": {"database": "salaries"},
    "less verified": {"sslmode": "disable"},
    "the number as a text": {"port": "5432"},
    "a field more": {"application_name": "evil"},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_block_gets_no_secret_and_keeps_no_permission_in_use(
    notebooks: Notebooks, shop: Project, a: RequesterProcess, edit: dict[str, Any]
) -> None:
    """Also after a person accepts it without reading: the secret of another host is asked for again, and the permission
    is void, as it shows another thing."""
    shop.field("prod", **edit)
    stopped(notebooks, a, "warehouse", "h", "workspace_changed")
    if not {"host", "user", "database", "sslmode"} & edit.keys():
        with pytest.raises(InvalidFields):
            accept(notebooks, "prod", secrets={})
        return
    found = accept(notebooks, "prod", secrets={})
    moved = "host" in edit or "sslmode" in edit
    assert (found["secrets"] == {}) == moved
    assert refused(a, "h._handle_ref.deliver()")[0] in ("HandleInvalid", "SecretMissing")
    asked = len(notebooks.asked())
    refusal = refused(a, "connection('warehouse', reason='deny')")[0]
    assert refusal == ("SecretMissing" if moved else "AccessDenied")
    assert len(notebooks.asked()) == asked + (not moved)


def test_exchanged_names_in_the_file_lead_nowhere(
    notebooks: Notebooks, shop: Project, a: RequesterProcess
) -> None:
    """What asks for the playground must not get the warehouse."""
    blocks = shop.blocks
    blocks["prod"]["name"], blocks["test"]["name"] = "playground", "warehouse"
    shop.write(blocks)
    stopped(notebooks, a, "warehouse", "h", "workspace_changed")
    stopped(notebooks, a, "playground", "g", "workspace_changed")


def test_exchanged_ids_lead_nowhere(notebooks: Notebooks, shop: Project, a: RequesterProcess) -> None:
    """An accepted copy belongs to its id, whatever else is equal."""
    blocks = shop.blocks
    shop.write({"prod": blocks["test"], "test": blocks["prod"]})
    stopped(notebooks, a, "warehouse", "h", "workspace_changed")
    stopped(notebooks, a, "playground", "g", "workspace_changed")


def test_a_block_copied_to_another_id_is_a_new_one(
    notebooks: Notebooks, shop: Project, a: RequesterProcess
) -> None:
    """It has no secret; and of what it was copied from, nothing is left in the file."""
    blocks = shop.blocks
    shop.write({"copy": blocks.pop("prod"), **blocks})
    stopped(notebooks, a, "warehouse", "h", "workspace_gone")
    assert entry(notebooks, "copy")["state"] == "name_taken"
    with pytest.raises(NameTaken):
        accept(notebooks, "copy")


def test_a_block_under_the_name_of_an_own_connection_is_not_used_in_its_place(
    notebooks: Notebooks, shop: Project, a: RequesterProcess
) -> None:
    """An error names both places; accepting it by mistake is refused, too."""
    notebooks.operator.create("mine", IN_CLEAR, FIELDS, {"password": CANARY})
    assert a.run("connection('mine', reason='once')._handle_ref.deliver().fields['host']") == "db.example.org"
    shop.put("planted", name="Mine", fields={**FIELDS, "host": "evil.example.org"})
    asked = len(notebooks.asked())
    assert refused(a, "connection('mine', reason='once')")[0] == "NameClash"
    assert refused(a, "connection('Mine', reason='once')")[0] == "NameClash"
    with pytest.raises(NameTaken):
        accept(notebooks, "planted")
    assert len(notebooks.asked()) == asked


def test_a_block_of_another_kind_under_the_name_of_an_own_connection_is_a_clash(
    notebooks: Notebooks, shop: Project, a: RequesterProcess
) -> None:
    """Also for code that says which kind it means: it is not told that its own connection is of another one."""
    notebooks.operator.create("mine", IN_CLEAR, FIELDS, {"password": CANARY})
    shop.put("planted", name="mine", provider_id="http", fields={"base_url": "https://evil.example.org"})
    assert refused(a, f"connection('mine', kind={IN_CLEAR!r}, reason='once')")[0] == "NameClash"
    assert refused(a, "connection('mine', kind='redis', reason='once')")[0] == "WrongKind"


def test_a_pulled_change_is_on_record(notebooks: Notebooks, shop: Project, a: RequesterProcess) -> None:
    """Without any use, by the names of what differs."""
    kind = "connection:changed_in_project"
    before = len(notebooks.record(type=kind))
    shop.field("prod", host="evil.example.org", user="root")
    wait_until(lambda: len(notebooks.record(type=kind)) > before, deadline_s=20, what="the broker's timer")
    (row,) = notebooks.record(type=kind)[: len(notebooks.record(type=kind)) - before]
    assert (row["connection"], row["outcome"]) == ("warehouse", "failed")
    assert (row["code"], row["field"]) == ("workspace_changed", "host, user")
    assert "evil.example.org" not in str(row)


def test_a_long_value_does_not_stop_the_broker(
    notebooks: Notebooks, shop: Project, a: RequesterProcess
) -> None:
    """As much as fits into the file: who looked for a secret in it was busy for hours."""
    shop.put("long", name="long", fields={**FIELDS, "application_name": "a" * 200_000})
    began = time.monotonic()
    assert entry(notebooks, "long")["state"] == "new"
    assert a.run("h._handle_ref.deliver().fields['host']") == "db.example.org"
    assert time.monotonic() - began < 10


def test_an_id_of_another_workspace_gets_nothing_of_it(
    notebooks: Notebooks, shop: Project, a: RequesterProcess, folder: Path
) -> None:
    """A copied project, as a whole or with another host: its own root, so its own secrets and permissions."""
    other = Project(folder / "shop" / "copy")
    other.root.mkdir()
    other.write(shop.blocks)
    other.field("prod", host="evil.example.org")
    with notebooks.open("shop/copy/a.ipynb") as b:
        asked = len(notebooks.asked())
        for name in ("warehouse", "playground"):
            assert refused(b, f"connection({name!r}, reason='always')")[0] == "WorkspaceNotAccepted"
        assert len(notebooks.asked()) == asked
    assert entry(notebooks, "prod", "shop/copy/a.ipynb")["state"] == "new"
    assert entry(notebooks, "prod")["state"] == "accepted"


def test_a_file_above_the_root_is_nobodys(notebooks: Notebooks, folder: Path) -> None:
    """Neither offered nor found, whatever path is asked for."""
    above = Project(folder.parent)
    above.put()
    with notebooks.open("b.ipynb") as b:
        assert refused(b, "connection('warehouse')")[0] == "ConnectionNotFound"
    for path in ("", "b.ipynb", "..", "../b.ipynb", "shop/../../b.ipynb"):
        assert notebooks.operator.call("workspaces.list", {"paths": [path]})["workspaces"] == []
    above.file.unlink()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_in_the_files_place_is_not_followed(
    notebooks: Notebooks, shop: Project, a: RequesterProcess, folder: Path, what: str
) -> None:
    """Not even to a file with equal content."""
    target = Project(folder.parent / f"outside-{what}")
    target.root.mkdir()
    target.write(shop.blocks)
    shop.file.unlink()
    if what == "file":
        shop.file.symlink_to(target.file)
    else:
        shop.file.parent.rmdir()
        shop.file.parent.symlink_to(target.file.parent)
    stopped(notebooks, a, "warehouse", "h", "")
    assert "symbolic link" in listed(notebooks)["problem"]


BROKEN: dict[str, str] = {
    "huge": " " * (1 << 20),
    "deep": "[" * 200_000,
    "cut off": '{"connections": {"prod"',
    "a conflict": '{\n<<<<<<< HEAD\n"a": 1',
    "newer": '{"connections": {}, "format": "connvault-workspace", "version": 99}',
    "a vault's": '{"connections": {}, "format": "connvault-connections", "version": 1}',
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_file_that_can_not_be_read_is_told_and_stops_only_its_own(
    notebooks: Notebooks, shop: Project, a: RequesterProcess, text: str
) -> None:
    """The broker lives, the person's own connections work, and with the old text all is as before."""
    before = shop.file.read_text()
    notebooks.operator.create("mine", IN_CLEAR, FIELDS, {"password": CANARY})
    shop.text(text)
    stopped(notebooks, a, "warehouse", "h", "")
    assert listed(notebooks)["problem"].startswith("shop/.connvault/connections.json ")
    assert a.run("connection('mine', reason='once')._handle_ref.deliver().fields['host']") == "db.example.org"
    shop.text(before)
    assert a.run("h._handle_ref.deliver().fields['host']") == "db.example.org"


def test_a_file_replaced_between_look_and_yes_is_not_accepted(notebooks: Notebooks, shop: Project) -> None:
    """A page sends what it has shown; also if the file is put back later, the yes was for one text."""
    shop.put("new", name="lake", fields=OTHER)
    before, digest = shop.file.read_text(), entry(notebooks, "new")["digest"]
    changes: list[Callable[[], None]] = [
        lambda: shop.field("new", host="evil.example.org"),
        lambda: shop.put("new", provider_id="postgresql"),
        lambda: shop.take_out("new"),
    ]
    for change in changes:
        change()
        with pytest.raises((WorkspaceFileChanged, StopIteration)):
            accept(notebooks, "new", digest=digest)
        shop.text(before)
    assert accept(notebooks, "new", digest=digest)["connection"]["fields"] == OTHER


def test_a_digest_of_one_block_accepts_no_other(notebooks: Notebooks, shop: Project) -> None:
    """Also of the same text under another id."""
    shop.put("new", name="lake", fields=OTHER)
    shop.put("evil", name="lagoon", fields=OTHER)
    with pytest.raises(WorkspaceFileChanged):
        accept(notebooks, "evil", digest=entry(notebooks, "new")["digest"])


@pytest.mark.parametrize(
    "fields", [{"password": "of-somebody"}, {"host": "https://ada:secret@db.example.org"}]
)
def test_a_file_with_a_secret_is_refused(
    notebooks: Notebooks, shop: Project, a: RequesterProcess, fields: dict[str, Any]
) -> None:
    """As a whole, with its line; nothing of it can be accepted."""
    shop.put("leak", name="leak", fields={**FIELDS, **fields})
    assert "has a secret in the connection at line" in listed(notebooks)["problem"]
    with pytest.raises(WorkspaceFileInvalid):
        notebooks.operator.call(
            "workspaces.accept", {"workspace": {"root": str(shop.root), "id": "leak"}, "digest": "0" * 64}
        )
    stopped(notebooks, a, "warehouse", "h", "")


def test_a_kernel_does_not_choose_its_project(notebooks: Notebooks, shop: Project) -> None:
    """Folder, variables and session name are the code's; what the server says counts."""
    with notebooks.open("b.ipynb") as b:
        b.run(f"import os; os.chdir({str(shop.root)!r}); os.environ['JPY_SESSION_NAME'] = 'shop/a.ipynb'")
        assert refused(b, "connection('warehouse', reason='always')")[0] == "ConnectionNotFound"
        assert b.run("[one.name for one in connections()]") == []


def test_another_notebook_of_the_project_has_its_own_permissions(
    notebooks: Notebooks, shop: Project, a: RequesterProcess
) -> None:
    """Accepting gives nobody anything: each notebook asks."""
    with notebooks.open("shop/b.ipynb") as b:
        asked = len(notebooks.asked())
        assert refused(b, "connection('warehouse', reason='deny')")[0] == "AccessDenied"
        assert len(notebooks.asked()) == asked + 1


def test_code_that_has_the_token_can_accept_and_that_is_on_record(
    notebooks: Notebooks, shop: Project
) -> None:
    """Not stopped, as no answer is: it can also create connections and answer questions. It needs the secret for it."""
    shop.put("evil", name="lake", fields={**FIELDS, "host": "evil.example.org"})
    before = [row["sequence"] for row in notebooks.record(type="connection:created")]
    found = accept(notebooks, "evil", secrets={})
    assert (found["connection"]["status"], found["secrets"]) == ("draft", {})
    row = notebooks.record(type="connection:created")[0]
    assert row["sequence"] not in before
    assert (row["connection"], row["code"]) == ("lake", "workspace")


def test_an_edited_copy_in_the_database_is_still_found(
    notebooks: Notebooks, shop: Project, a: RequesterProcess, folder: Path
) -> None:
    """The file and the copy changed alike: the copy has no MAC for it."""
    shop.field("prod", host="evil.example.org")
    with database(folder) as opened:
        opened.execute(
            "UPDATE connections SET document = replace(document, 'db.example.org', 'evil.example.org')"
        )
    assert refused(a, "h._handle_ref.deliver()") == ("ConnectionNotReady", "edited")
    # Listed, so that it can be deleted.
    assert notebooks.operator.call("connections.list")["connections"]


def test_roots_and_ids_that_are_none_are_refused(notebooks: Notebooks, shop: Project) -> None:
    """A page's body is not trusted either."""
    for root in ("/", str(shop.root.parent), f"{shop.root}/../shop", "shop", "/proc/self/root"):
        with pytest.raises(ConnvaultError):
            notebooks.operator.call(
                "workspaces.accept",
                {"workspace": {"root": root, "id": "prod"}, "digest": entry(notebooks, "prod")["digest"]},
            )
