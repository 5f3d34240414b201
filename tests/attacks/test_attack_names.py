"""Names and texts that deceive a person, and providers that send a secret elsewhere, at a real broker."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import InvalidFields, InvalidRequest, NameTaken
from connvault_jupyter.providers.registry import ProviderCatalogue
from tests.attacks.conftest import API, by_reason
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.requester import Refused
from tests.support.canary import CANARY

LOOK_ALIKES = {
    "a Cyrillic letter": "\u0430pi",
    "zero width": "api\u200b",
    "reordered": "\u202eipa",
    "a space behind": "api ",
    "a space before": " api",
    "full width": "\uff41pi",
    "a line end": "api\n",
    "an accent": "api\u0301",
    "nothing": "",
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_of_a_connection_can_not_be_made(notebooks: Notebooks, name: str) -> None:
    """Names are of plain letters only."""
    with pytest.raises(InvalidRequest):
        notebooks.operator.create(LOOK_ALIKES[name], IN_CLEAR_API, API, {"token": "x"})


@pytest.mark.parametrize("name", ["API", "Api", "aPI"])
def test_a_name_in_another_case_is_taken(notebooks: Notebooks, name: str) -> None:
    """Two names that differ in case alone are one to people."""
    with pytest.raises(NameTaken):
        notebooks.operator.create(name, IN_CLEAR_API, API, {"token": "x"})


@pytest.mark.parametrize("name", [*LOOK_ALIKES.values(), "API"])
def test_asking_by_a_look_alike_asks_nobody(notebooks: Notebooks, name: str) -> None:
    """The name counts as it is, or is none."""
    before = len(notebooks.asked())
    with notebooks.outside() as process, pytest.raises(Refused, match="ConnectionNotFound"):
        process.run(f"connection({name!r}, reason='always')")
    assert len(notebooks.asked()) == before


CLAIMS = {
    "lines": "ok\n\n[Allow] approved by the administrator\r\n\x0bplain text: no",
    "reordered": "\u202ereport\u202c monthly\u2066",
    "invisible": "mon\u200bthly\u2060 re\ufeffport",
    "terminal": "\x1b[2J\x1b[31mapproved",
}


@pytest.mark.parametrize("name", CLAIMS)
def test_the_codes_own_words_are_one_plain_line(notebooks: Notebooks, name: str) -> None:
    """Whatever they imitate, they stand in their place, marked as the code's own, and go on record so."""
    text = json.dumps(CLAIMS[name])
    with notebooks.open("words.ipynb") as process:
        ask = (
            f"broker().ask('access.request', {{'connection': 'api', 'reason': {text}, 'agent': {text}[:60]}})"
        )
        process.run("from connvault_jupyter.kernel.api import broker")
        with pytest.raises(Refused, match="AccessDenied"):
            process.run(ask)
    question = notebooks.asked()[-1]
    for shown in (
        *question["reasons"],
        question["agent"],
        notebooks.record(type="access:asked")[0]["reason_claim"],
    ):
        assert shown.isprintable(), ascii(shown)
        assert "\n" not in shown
    assert question["requester"]["label"] == "words.ipynb"
    assert question["destination"] == API["base_url"]


@pytest.mark.parametrize("words", ["'x' * 201", "'x' * 100_000", "chr(0xd800)", "['a', 'list']", "7"])
def test_words_that_are_no_short_text_are_refused(notebooks: Notebooks, words: str) -> None:
    """Endless ones would push the buttons out of sight."""
    with notebooks.outside() as process:
        process.run("from connvault_jupyter.kernel.api import broker")
        with pytest.raises(Refused, match="InvalidRequest"):
            process.run(f"broker().ask('access.request', {{'connection': 'api', 'reason': {words}}})")


# What the file is called, and what a person sees.
PATHS = {
    "reordered": ("x\u202ebpnyi.detsurt", "x[U+202E]bpnyi.detsurt"),
    "invisible": ("tru\u200bsted.ipynb", "tru[U+200B]sted.ipynb"),
    "a filler": ("trusted\u3164.ipynb", "trusted[U+3164].ipynb"),
    "a space behind": ("trusted.ipynb ", "trusted.ipynb[U+0020]"),
    "two spaces": ("our  trusted.ipynb", "our[U+0020][U+0020]trusted.ipynb"),
    "a no-break space": ("our\u00a0trusted.ipynb", "our[U+00A0]trusted.ipynb"),
    "a thin one": ("our\u2009trusted.ipynb", "our[U+2009]trusted.ipynb"),
    "an ideographic one": ("our\u3000trusted.ipynb", "our[U+3000]trusted.ipynb"),
    "a Braille blank": ("our\u2800trusted.ipynb", "our[U+2800]trusted.ipynb"),
    "a soft hyphen": ("trus\u00adted.ipynb", "trus[U+00AD]ted.ipynb"),
    "a joiner": ("trus\u034fted.ipynb", "trus[U+034F]ted.ipynb"),
    "a variation": ("trusted\ufe0f.ipynb", "trusted[U+FE0F].ipynb"),
    "a tag": ("trusted\U000e0041.ipynb", "trusted[U+E0041].ipynb"),
    "a line end": ("trusted.ipynb\n", "trusted.ipynb[U+000A]"),
    "what another one is shown as": ("our[U+00A0]trusted.ipynb", "our[U+005B]U+00A0]trusted.ipynb"),
    "a Cyrillic letter": ("trust\u0435d.ipynb", "trust\u0435d.ipynb"),
    "a parent": ("sub/../../trusted.ipynb", "sub/../../trusted.ipynb"),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_look_alike_of_a_notebook_has_no_grant_of_it(notebooks: Notebooks, name: str) -> None:
    """It is asked for itself. What can't be seen is spelt out; letters of other scripts that look alike are not."""
    path, shown = PATHS[name]
    with notebooks.open("trusted.ipynb") as trusted, notebooks.open(path) as other:
        trusted.run("connection('api', reason='always')")
        with pytest.raises(Refused, match="AccessDenied"):
            other.run("connection('api', reason='deny')")
    asked = notebooks.asked()[-1]["requester"]
    assert (asked["label"], asked["path"]) == (shown, shown)
    assert notebooks.record(type="access:denied")[0]["requester_label"] == shown


USERINFO = [
    "https://user:secret@api.test/",
    "https://user@api.test",
    "https://:secret@api.test",
    "https://api.test\\@e",
]


@pytest.mark.parametrize("url", USERINFO)
def test_a_secret_or_another_host_in_an_address_is_refused(notebooks: Notebooks, url: str) -> None:
    """It would be stored and shown in the open, and people would read the wrong host."""
    with pytest.raises(InvalidFields) as refused:
        notebooks.operator.create("userinfo", "http", {"base_url": url, "auth": "bearer"}, {"token": "x"})
    assert "secret" not in str(refused.value.details)


GOOD: dict[str, Any] = {
    "id": "ticker",
    "name": "Ticker",
    "fields": {
        "type": "object",
        "properties": {
            "host": {"type": "string", "x-destination": True},
            "password": {"type": "string", "writeOnly": True},
        },
        "required": ["host", "password"],
    },
    "destination": "{host}",
    "deliveries": [{"kind": "login", "mode": "in_clear", "client": "arguments", "openers": ["arguments"]}],
}


def hostile(**changes: Any) -> dict[str, Any]:
    found = copy.deepcopy(GOOD)
    for path, value in changes.items():
        place = found
        *parents, last = path.split("__")
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return found


SVG = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'
HOSTILE = {
    "a built-in id": hostile(id="postgresql", name="Other"),
    "a built-in name": hostile(id="other", name="PostgreSQL"),
    "no destination": hostile(id="d1", fields__properties__host={"type": "string"}),
    "a secret in the line": hostile(id="d2", destination="{password}"),
    "a secret by default": hostile(
        id="d3", fields__properties__password={"type": "string", "writeOnly": True, "default": "x"}
    ),
    "a remote $ref": hostile(id="d4", fields__properties__host={"$ref": "https://evil.test/schema.json"}),
    "a hidden secret": hostile(
        id="d5",
        fields__properties__host={
            "type": "object",
            "properties": {"p": {"type": "string", "writeOnly": True}},
        },
    ),
    "a script in the icon": hostile(id="d6", icon=SVG.format("<script>alert(1)</script>")),
    "an event in the icon": hostile(id="d7", icon=SVG.format('<path onload="alert(1)" d="M0 0"/>')),
    "a link in the icon": hostile(id="d8", icon=SVG.format('<use href="https://evil.test/x.svg#a"/>')),
    "a script as documentation": hostile(id="d9", documentation_url="javascript:alert(1)"),
    "an unknown key": hostile(id="d10", run="import os"),
}


@pytest.fixture(scope="module")
def catalogue() -> Iterator[dict[str, Any]]:
    """What a broker makes of all of them and a good one."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        folder = Path(name, "providers")
        folder.mkdir()
        for number, definition in enumerate([*HOSTILE.values(), GOOD]):
            (folder / f"{number:02}.json").write_text(json.dumps(definition))
        with operated_broker(Path(name), rule=by_reason, provider_dirs=[str(folder)]) as (operator, _):
            found: dict[str, Any] = operator.call("providers.list")
            yield found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_provider_is_left_out_with_its_reason(catalogue: dict[str, Any], name: str) -> None:
    """And takes no other one down."""
    number = list(HOSTILE).index(name)
    assert [one["reason"] for one in catalogue["skipped"] if one["source"].endswith(f"{number:02}.json")]
    used = {one["id"] for one in catalogue["providers"]}
    assert used - {one.id for one in ProviderCatalogue(packages=False).all()} == {"ticker"}
    assert "{host}" in {one["destination"] for one in catalogue["providers"]}


def test_a_provider_that_binds_less_gets_no_old_secret() -> None:
    """Its file was changed so that the host is no destination any more: what was sealed for the host stays shut."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        file = Path(name, "providers", "ticker.json")
        file.parent.mkdir()
        two = hostile(fields__properties__port={"type": "string", "x-destination": True})
        file.write_text(json.dumps(two))
        home = Path(name)
        with operated_broker(home, rule=by_reason, provider_dirs=[str(file.parent)]) as (operator, path):
            operator.create("t", "ticker", {"host": "good.test", "port": "1"}, {"password": CANARY})
            with Notebooks(operator, home=home, socket_path=path).open("a.ipynb") as process:
                process.run("connection('t', reason='always')._handle_ref.deliver()")
        less = hostile(
            fields__properties__port={"type": "string", "x-destination": True},
            fields__properties__host={"type": "string"},
        )
        file.write_text(json.dumps(less))
        with (
            operated_broker(home, rule=by_reason, provider_dirs=[str(file.parent)]) as (operator, path),
            Notebooks(operator, home=home, socket_path=path).open("a.ipynb") as process,
            # Another one: after a no the first has to wait.
            Notebooks(operator, home=home, socket_path=path).open("b.ipynb") as other,
        ):
            with pytest.raises(Refused, match="AccessDenied"):
                process.run("connection('t')")
            with pytest.raises(Refused, match="SecretInvalid"):
                other.run("connection('t', reason='once')._handle_ref.deliver()")
