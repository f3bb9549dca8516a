"""The services' laws, on real ones: a root and ports of their own, all ended with the module.

What a missing Debian package keeps from starting is skipped with the package's name.
"""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
from own_ports import free_ports
from service_place import Place, require, started

from components.errors import Failed, WrongUse
from services import process
from services.credentials import Credentials, ensure
from services.ports import DEFAULTS, listened, ports_from, variable
from services.process import Launch


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Everything that can be up."""
    with started() as here:
        yield here


@pytest.fixture(scope="module")
def told(place: Place) -> dict[str, str]:
    """What `env` prints."""
    return place.environment()


def s3_client(told: dict[str, str], secret: str | None = None, attempts: int = 1) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=told["AWS_ENDPOINT_URL_S3"],
        region_name="us-east-1",
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or told["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": attempts}, connect_timeout=3, read_timeout=20),
    )


def answer_of(call: Callable[..., Any], **arguments: Any) -> str:
    """The code of S3's answer to a call, "done" where it did as asked."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"


def sql(told: dict[str, str], statement: str, **other: str) -> list[tuple[Any, ...]]:
    import psycopg

    url = told["GENCO_FEAST_REGISTRY"].replace("+psycopg", "")
    with psycopg.connect(url, connect_timeout=5, **other) as connection:
        answer = connection.execute(statement)
        return answer.fetchall() if answer.description else []


def redis_client(told: dict[str, str]) -> Any:
    import redis

    host, port = told["GENCO_REDIS"].split(":")
    return redis.Redis(host=host, port=int(port))


def test_up_on_running_services_is_a_no_op_that_says_so(place: Place) -> None:
    before = place.pids()
    assert place.up().count("already up") == len(place.names)
    assert place.pids() == before
    status = place.say("status", "--only", ",".join(place.names))
    assert (status.returncode, status.stdout.count("healthy")) == (0, len(place.names))


def test_of_racing_conditional_writes_exactly_one_wins(told: dict[str, str]) -> None:
    s3 = s3_client(told)
    stored = None
    for turn in range(4):
        tag = '"' + hashlib.md5(stored or b"", usedforsecurity=False).hexdigest() + '"'
        condition = {"IfNoneMatch": "*"} if stored is None else {"IfMatch": tag}
        # bodies differ from turn to turn: the same bytes have the same tag, and two might win
        bodies = [f"turn {turn} writer {number}".encode() for number in range(8)]
        put = partial(s3.put_object, Bucket="genco", Key="race", **condition)
        with ThreadPoolExecutor(len(bodies)) as pool:
            answers = list(pool.map(lambda body, put=put: answer_of(put, Body=body), bodies))
        assert sorted({*answers}) == ["PreconditionFailed", "done"]
        assert answers.count("done") == 1
        stored = s3.get_object(Bucket="genco", Key="race")["Body"].read()
        assert stored == bodies[answers.index("done")]


def test_an_object_comes_back_as_it_was_put(told: dict[str, str]) -> None:
    content = random.Random(0).randbytes(6_000_000)
    s3_client(told).put_object(Bucket="genco", Key="deep/er/object", Body=content)
    assert (
        s3_client(told).get_object(Bucket="genco", Key="deep/er/object")["Body"].read() == content
    )


def test_a_wrong_secret_and_a_bucket_that_is_not_there_are_refused(told: dict[str, str]) -> None:
    wrong, right = s3_client(told, secret="not-the-secret"), s3_client(told)
    assert answer_of(wrong.list_buckets) == "SignatureDoesNotMatch"
    put = {"Key": "k", "Body": b""}
    assert answer_of(wrong.put_object, Bucket="genco", **put) == "SignatureDoesNotMatch"
    assert answer_of(right.put_object, Bucket="misspelt", **put) == "NoSuchBucket"


def test_redis_gives_back_what_was_set(place: Place, told: dict[str, str]) -> None:
    require(place, "redis")
    with redis_client(told) as client:
        assert client.set("key", "value")
        assert client.get("key") == b"value"


def test_postgres_answers_in_both_databases_to_its_password_only(
    place: Place, told: dict[str, str]
) -> None:
    require(place, "postgres")
    import psycopg

    assert [sql(told, "select 1", dbname=name) for name in ("mlflow", "feast")] == [[(1,)]] * 2
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        sql(told, "select 1", password="not-the-password")


def test_a_version_is_registered_through_the_server_and_its_artifacts_lie_in_s3(
    place: Place, told: dict[str, str]
) -> None:
    require(place, "mlflow")
    from components.adapters.registry import Registry

    registry = Registry(told["MLFLOW_TRACKING_URI"], "shop", place.root / "unused")
    tags = {"genco.bundle": "bundles/1", "genco.fingerprint": "f"}
    made = registry.register("s3://genco/bundles/1", tags, {"clicks": 1.0}, {"card.md": "hello"})
    assert registry.find("f") == made
    stored = s3_client(told).list_objects_v2(Bucket="mlflow")["Contents"]
    assert [Path(item["Key"]).name for item in stored] == ["card.md"]


def test_everything_listens_on_loopback_only(place: Place) -> None:
    tables = [Path(f"/proc/net/{kind}").read_text() for kind in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    listening = [row[1].split(":") for row in rows if row[3] == "0A"]
    ours = {port for name, first in place.ports.items() for port in listened(name, first)}
    bound = [address for address, port in listening if int(port, 16) in ours]
    assert {*bound} == {"0100007F"}
    assert len(bound) >= len(place.names)


def test_secrets_are_in_a_private_file_and_in_no_command_line_or_log(place: Place) -> None:
    file = place.root / "credentials.json"
    assert file.stat().st_mode & 0o777 == 0o600
    kept = Credentials(**json.loads(file.read_text()))
    seen = [Path(f"/proc/{pid}/cmdline").read_text() for pid in place.working_here()]
    seen += [log.read_text() for log in (place.root / "logs").iterdir()]
    for secret in (kept.secret_key, kept.database_password):
        assert secret not in repr(kept)
        assert not [text for text in seen if secret in text]


def test_after_kill_9_of_everything_up_brings_it_back_with_its_data(
    place: Place, told: dict[str, str]
) -> None:
    s3_client(told).put_object(Bucket="genco", Key="kept", Body=b"kept")
    if "redis" in place.names:
        redis_client(told).set("kept", "kept")
    if "postgres" in place.names:
        sql(told, "create table kept as select 7 as seven")
    killed = place.pids()
    for pid in killed.values():
        os.kill(pid, SIGKILL)
    status = place.say("status", "--only", ",".join(place.names))
    assert (status.returncode, status.stdout.count(" down")) == (1, len(place.names))
    assert "already up" not in place.up()
    assert not {*place.pids().values()} & {*killed.values()}
    # its volumes come back a moment after its gateway, as production's retries allow for
    kept = s3_client(told, attempts=6).get_object(Bucket="genco", Key="kept")
    assert kept["Body"].read() == b"kept"
    assert "redis" not in place.names or redis_client(told).get("kept") == b"kept"
    assert "postgres" not in place.names or sql(told, "select seven from kept") == [(7,)]


def test_a_port_taken_by_another_program_is_refused_and_nothing_starts(place: Place) -> None:
    elsewhere = replace(place, root=place.root.with_name("elsewhere"))
    done = elsewhere.say("up", "--only", "s3")
    assert done.returncode == 1
    assert f"port {place.ports['s3']} (s3; GENCO_S3_PORT moves it)" in done.stderr
    assert (elsewhere.pids(), elsewhere.working_here()) == ({}, [])
    assert elsewhere.say("env").returncode == 1


def test_a_program_that_is_not_installed_is_named_with_its_package(tmp_path: Path) -> None:
    nowhere = Place(tmp_path, free_ports(), ("redis",))
    done = nowhere.say("up", "--only", "redis", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install redis-server" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the data folder to user postgres")
def test_a_root_that_user_postgres_cannot_pass_is_named(place: Place, tmp_path: Path) -> None:
    require(place, "postgres")
    tmp_path.chmod(0o700)
    done = Place(tmp_path / "root", free_ports(), ()).say("up", "--only", "postgres")
    assert done.returncode == 1
    assert "cannot pass" in done.stderr
    assert "chmod o+x" in done.stderr


def test_a_pid_that_passed_to_another_program_is_never_stopped(tmp_path: Path) -> None:
    sleeper = process.start(Launch(("sleep", "60"), os.environ), tmp_path, tmp_path / "log", {})
    try:
        process.stop(replace(sleeper, started=sleeper.started - 1), SIGKILL)
        process.stop(replace(sleeper, boot="another boot"), SIGKILL)
        assert process.is_alive(sleeper)
    finally:
        process.stop(sleeper, SIGTERM)
    assert not process.is_alive(sleeper)


@pytest.mark.parametrize("script", ["sleep 60 & wait", "trap '' TERM; while :; do sleep 0.1; done"])
def test_stop_ends_what_ignores_it_and_what_a_dead_one_left_behind(
    tmp_path: Path, script: str
) -> None:
    here = Place(tmp_path, {}, ())
    shell = process.start(Launch(("sh", "-c", script), os.environ), tmp_path, tmp_path / "log", {})
    try:
        if "wait" in script:
            os.kill(shell.pid, SIGKILL)
    finally:
        process.stop(shell, SIGTERM, deadline_s=0.3)
    assert here.working_here() == []


def test_the_environment_moves_every_port_and_a_bad_one_is_refused() -> None:
    moved = {variable(name): str(20_000 + n) for n, name in enumerate(DEFAULTS)}
    assert [*ports_from(moved).values()] == [20_000 + n for n in range(len(DEFAULTS))]
    for bad in ("redis", "80", "", "65536", "-1"):
        with pytest.raises(WrongUse, match="GENCO_REDIS_PORT"):
            ports_from({"GENCO_REDIS_PORT": bad})


def test_keys_come_from_the_environment_once_and_then_from_the_root(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="AWS_SECRET_ACCESS_KEY is not"):
        ensure(tmp_path, {"AWS_ACCESS_KEY_ID": "mine"})
    first = ensure(tmp_path, {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "own"})
    assert (first.access_key, first.secret_key) == ("mine", "own")
    assert ensure(tmp_path, {}) == first
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(Failed, match="does not hold the three secrets"):
        ensure(tmp_path, {})
