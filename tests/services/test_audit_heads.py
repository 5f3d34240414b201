"""A published head: a cut end is noticed by it, and only what the vault stated is a proof."""

from __future__ import annotations

from typing import Any

from connvault_jupyter.contracts.audit import AuditHead, CompareAudit, SeenEvent, Statement
from connvault_jupyter.services.audit import exported
from tests.services.test_record_of_old_keys import started_anew
from tests.services.test_record_of_old_keys import world as world
from tests.support.services.records import file_of, records, used, write
from tests.support.services.service_world import World


def statement_of(head: AuditHead) -> Statement:
    assert head.mac is not None
    assert head.generation is not None
    return Statement(kind="head", text=exported.head_text(head), generation=head.generation, mac=head.mac)


def compared(world: World, head: AuditHead) -> Any:
    return world.exports.compare(
        CompareAudit(
            events=[SeenEvent(sequence=head.sequence, digest=head.digest)], statements=[statement_of(head)]
        )
    )


def test_a_published_head_is_found_again() -> None:
    """As long as the log only grows."""
    world = used()
    head = world.exports.head()
    write(world)
    found = compared(world, head)
    assert (found.missing, found.differing, found.statements) == ([], [], [True])
    assert head.sequence < found.last


def test_a_cut_end_is_noticed_by_a_published_head(world: World) -> None:
    """By the next broker on the vault, which remembers nothing; also if as many events were written since."""
    write(world, 10)
    head = world.exports.head()
    del world.storage.tables.audit[-6:]
    following = started_anew(world, 0)
    assert following.audit.verify().consistent
    found = compared(following, head)
    assert (found.statements, found.missing, found.differing) == ([True], [head.sequence], [])
    write(following, 20)
    assert following.audit.verify().consistent
    found = compared(following, head)
    assert (found.statements, found.missing, found.differing) == ([True], [], [head.sequence])


def test_a_head_that_the_vault_did_not_state_is_no_proof() -> None:
    """Neither an edited one, nor an export's first line in its place."""
    world = used()
    head = world.exports.head()
    assert compared(world, head.model_copy(update={"sequence": 3})).statements == [False]
    header = records(file_of(world))[0]
    wrong = Statement(
        kind="head",
        text=exported.statement_text(header),
        generation=header["generation"],
        mac=header["mac"],
    )
    assert world.exports.compare(CompareAudit(statements=[wrong])).statements == [False]
    right = replace_kind(wrong)
    assert world.exports.compare(CompareAudit(statements=[right])).statements == [True]


def replace_kind(statement: Statement) -> Statement:
    return statement.model_copy(update={"kind": "export"})


def test_while_locked_a_head_is_only_text() -> None:
    """And no statement is judged."""
    world = used()
    head = world.exports.head()
    world.secrets.lock(actor="ada")
    assert compared(world, head).statements == [None]
    assert world.exports.head().mac is None


def test_without_a_vault_there_is_a_head_too() -> None:
    """Of nothing."""
    head = World(unlocked=False).exports.head()
    assert (head.vault_id, head.sequence, head.mac) == (None, 0, None)
