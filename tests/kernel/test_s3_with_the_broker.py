"""Object storage by the whole way: a real broker, its consent, its relay, and a process that never has the key."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.process_sinks import memory
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess, requester_process
from tests.support.canary import CANARY, found_in
from tests.support.servers.strict_s3 import REGION, StrictS3, strict_s3

SESSION = "Sitzung/Vogel+7/abc9Zx-geheim=="


_ASK = "lake = connection('lake', reason='session'); s3 = lake.client()"


@dataclass(frozen=True)
class World:
    operator: Operator
    notebooks: Notebooks
    server: StrictS3
    process: RequesterProcess
    fresh: RequesterProcess
    """Has asked for nothing yet, and has no pandas."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        strict_s3() as server,
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
        requester_process(Path(folder), path) as process,
        requester_process(Path(folder), path) as fresh,
    ):
        server.secret_access_key, server.session_token = CANARY, SESSION
        operator.create("lake", "s3", server.fields(bucket="lake-of-all"), server.secrets())
        process.run(_ASK)
        where = f"CreateBucketConfiguration={{'LocationConstraint': {REGION!r}}}"
        process.run(f"s3.create_bucket(Bucket=lake.bucket, {where}) and None")
        process.run("s3.put_object(Bucket=lake.bucket, Key='a b', Body=b'hello') and None")
        yield World(
            operator, Notebooks(operator, home=Path(folder), socket_path=path), server, process, fresh
        )


def test_when_used_the_whole_way_the_objects_arrive(world: World) -> None:
    """boto3, s3fs and pandas in a process that has asked for it."""
    run = world.process.run
    assert run("s3.get_object(Bucket='lake-of-all', Key='a b')['Body'].read().decode()") == "hello"
    assert "lake-of-all/a b" in run("lake.filesystem().ls('lake-of-all')")
    run("import pandas")
    run(
        "pandas.DataFrame({'a': [1, 2]}).to_parquet('s3://lake-of-all/x', storage_options=lake.storage_options)"
    )
    assert run("int(pandas.read_parquet('lake-of-all/x', filesystem=lake.filesystem())['a'].sum())") == 3


def test_an_s3_handle_says_how_it_is_delivered(world: World) -> None:
    """Brokered; to whom the question was put that too."""
    assert "brokered" in world.process.run("repr(lake)")
    assert world.operator.asked[-1]["mode"] == "brokered"
    assert world.process.run("lake.client.__self__.delivery") == "relay"


def test_when_used_the_secrets_are_not_in_the_process(world: World) -> None:
    """What it has written in its memory is searched, in every disguise; the same search finds what is there."""
    run = world.fresh.run
    run(_ASK)
    run("s3.put_object(Bucket=lake.bucket, Key='seen', Body=b'hello') and None")
    run("s3.generate_presigned_url('get_object', Params={'Bucket': 'b', 'Key': 'k'}) and None")
    assert run("lake.filesystem().cat('lake-of-all/seen').decode()") == "hello"
    for secret in (CANARY, SESSION):
        assert not found_written(world.fresh, secret)
    run(f"known = {CANARY!r}")
    assert found_written(world.fresh, CANARY)


def found_written(process: RequesterProcess, secret: str) -> bool:
    """Whether it is in any area that is no file's: programs and libraries are hundreds of megabytes."""
    pid = process.process.pid
    return any(
        found_in(area.content, secret) for area in memory(pid) if "/" not in area.name.partition(" ")[2]
    )


def test_when_a_library_reads_the_environment_the_variables_are_enough(world: World) -> None:
    """boto3 as it comes, and s3fs: no line of ours in it."""
    run = world.process.run
    run("import os, boto3, s3fs")
    run("os.environ.update(lake.env())")
    assert "lake-of-all" in run("[one['Name'] for one in boto3.client('s3').list_buckets()['Buckets']]")
    run("boto3.client('s3').put_object(Bucket='lake-of-all', Key='by the environment', Body=b'x')")
    assert "lake-of-all/by the environment" in run("s3fs.S3FileSystem().ls('lake-of-all')")


def test_another_process_with_the_token_is_refused(world: World) -> None:
    """The place is the requester's: whoever connects is looked at."""
    url = world.process.run(
        "s3.generate_presigned_url('get_object', Params={'Bucket': 'lake-of-all', 'Key': 'a b'})"
    )
    before = len(world.server.seen)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url)  # noqa: S310 -- it begins with http://127.0.0.1
    caught.value.close()
    assert caught.value.code == 403
    assert caught.value.headers["X-Connvault-Error"] == "handle_invalid"
    assert len(world.server.seen) == before


def test_a_test_by_the_operator_logs_in(world: World) -> None:
    """A connection test is a signed request."""
    (found,) = world.operator.call("connections.list")["connections"]
    outcome = world.operator.call("connections.test", {"id": found["connection"]["id"]})
    assert (outcome["ok"], outcome["server"]) == (True, "HTTP 200")
    world.server.secret_access_key = "another"
    try:
        outcome = world.operator.call("connections.test", {"id": found["connection"]["id"]})
    finally:
        world.server.secret_access_key = CANARY
    assert (outcome["ok"], outcome["code"]) == (False, "upstream_auth_failed")


def test_when_the_key_is_good_for_one_bucket_its_test_succeeds(world: World) -> None:
    """It may not list all of them; that it was refused by name says that the signature was right."""
    (found,) = world.operator.call("connections.list")["connections"]
    world.server.one_bucket = "lake-of-all"
    try:
        outcome = world.operator.call("connections.test", {"id": found["connection"]["id"]})
    finally:
        world.server.one_bucket = None
    assert (outcome["ok"], outcome["server"]) == (True, "")


def test_when_revoked_the_next_use_is_refused(world: World) -> None:
    """By the client that is there, and by any other opener; what is open is cut a moment after the revoke's answer."""
    world.operator.revoke_all()

    def refused(code: str) -> str:
        try:
            world.process.run(code)
        except Refused as exc:
            return exc.kind
        return ""

    try:
        first = wait_until(lambda: refused("s3.list_buckets() and None"), deadline_s=10, what="the cut")
        assert first == "HandleInvalid"
        assert refused("lake.filesystem().ls('lake-of-all', refresh=True)") == "HandleInvalid"
        assert refused("lake.base_url") == "HandleInvalid"
    finally:
        # As it was, for whichever test is next.
        world.process.run(_ASK)


def test_worker_processes_get_what_they_need(world: World) -> None:
    """Processes that the kernel starts anew, as joblib and dask do: the options and the token go there pickled."""
    with world.notebooks.open("workers.ipynb") as kernel:
        run = kernel.run
        run("import copy, multiprocessing, pandas, s3fs; from concurrent.futures import ProcessPoolExecutor")
        run("lake = connection('lake')")
        run("lake.client().put_object(Bucket='lake-of-all', Key='t.csv', Body=b'n\\n1\\n2\\n') and None")
        run("pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('spawn'))")
        run("plain = {'key': lake.token, 'secret': lake.token, 'endpoint_url': lake.base_url}")
        for options in ("lake.storage_options", "plain", "copy.deepcopy(plain)"):
            work = f"pool.submit(pandas.read_csv, 's3://lake-of-all/t.csv', storage_options={options})"
            assert run(f"int({work}.result(60).n.sum())") == 3
        assert run("pool.submit(repr, plain).result(60)").count("<secret, hidden>") == 2
        run("pool.shutdown()")


def test_a_process_of_another_notebook_with_the_options_is_refused(world: World) -> None:
    """They are of use to nobody else."""
    with world.notebooks.open("one.ipynb") as one, world.notebooks.open("other.ipynb") as other:
        one.run("import pickle; lake = connection('lake')")
        one.run("lake.client().put_object(Bucket='lake-of-all', Key='u.csv', Body=b'n\\n1\\n') and None")
        pickled = one.run("pickle.dumps(lake.storage_options).hex()")
        other.run("import pandas, pickle")
        with pytest.raises(Refused):
            other.run(
                "pandas.read_csv('s3://lake-of-all/u.csv', "
                f"storage_options=pickle.loads(bytes.fromhex({pickled!r})))"
            )
