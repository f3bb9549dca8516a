"""What OpenLineage, OpenTelemetry and the log see of a stage; real clients, a receiver on loopback."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from seen_places import Seen, receiver

from components.adapters import lineage, telemetry
from components.day import Day, Frozen
from components.errors import Failed
from components.watching import READS_WRITES, observed, run_id
from pipelines.stages import STAGES

RUN = "7f3c1e0a-9f0b-4f6e-9f58-0d8f6f0e2a11"
VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")


class Result(Frozen):
    """A stage's result with numbers, nested ones, and words."""

    rows: dict[str, int] = {"train": 900, "held": 100}
    base_reward: float = 0.04
    device: str = "cpu"


@pytest.fixture(autouse=True)
def nobody_watches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (*VARIABLES, telemetry.ENDPOINT, "GENCO_LOG"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    monkeypatch.setenv("GENCO_RUN_ID", RUN)
    doors = (lineage._client, telemetry._providers, telemetry._duration)
    for door in doors:
        door.cache_clear()
    yield
    for door in doors:
        door.cache_clear()
    for name in set(os.environ) - set(before):  # OpenLineage's client spells its URL out there
        del os.environ[name]


@pytest.fixture
def seen() -> Iterator[Seen]:
    with receiver() as state:
        yield state


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(ds="2026-11-22", store="s3://ads/genco", work=str(tmp_path), attempt="a1")


def fails() -> Result:
    raise Failed("cannot read s3://ads/logs: access is denied")


def end_in_both_ways(day: Day) -> None:
    observed("train_reward", day, Result)
    with pytest.raises(Failed, match="access is denied"):
        observed("ingest_logs", day, fails)


def test_lineage_tells_begin_and_end_with_datasets_below_the_days_run(
    seen: Seen, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", seen.url)
    end_in_both_ways(day)
    told = [(e["eventType"], e["job"]["name"]) for e in seen.events]
    assert told == [
        ("START", "genco-daily.train_reward"),
        ("COMPLETE", "genco-daily.train_reward"),
        ("START", "genco-daily.ingest_logs"),
        ("FAIL", "genco-daily.ingest_logs"),
    ]
    runs = [e["run"]["runId"] for e in seen.events]
    assert runs[0] == runs[1] != runs[2] == runs[3]
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in seen.events} == {RUN}
    done, failed = seen.events[1], seen.events[3]
    assert [d["name"] for d in done["inputs"]] == ["training_set/ds=2026-11-22"]
    assert [d["name"] for d in done["outputs"]] == ["reward_model/ds=2026-11-22"]
    assert {d["namespace"] for d in done["inputs"] + done["outputs"]} == {"s3://ads/genco"}
    said = failed["run"]["facets"]["errorMessage"]["message"]
    assert said == "Failed: cannot read s3://ads/logs: access is denied"


def test_lineage_goes_to_a_file_where_the_client_is_told_so(
    day: Day, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lineage.jsonl"
    transport = {"type": "file", "log_file_path": str(file), "append": True}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    observed("notify", day, Result)
    told = [json.loads(line)["eventType"] for line in file.read_text().splitlines()]
    assert told == ["START", "COMPLETE"]


def test_the_datasets_of_all_stages_make_one_chain_from_the_logs_to_the_policy() -> None:
    assert tuple(READS_WRITES) == STAGES
    known = {"logs", "catalog"}
    for stage, (reads, writes) in READS_WRITES.items():
        assert set(reads) <= known, stage
        known |= set(writes)
    assert "policy" in known


def test_spans_of_a_run_share_its_trace_and_carry_the_results_numbers(
    seen: Seen, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, seen.url)
    end_in_both_ways(day)
    done, failed = seen.spans
    assert {span.trace_id for span in seen.spans} == {UUID(RUN).bytes}
    assert (done.name, failed.name) == ("train_reward", "ingest_logs")
    told = {a.key: a.value for a in done.attributes}
    assert told["genco.ds"].string_value == "2026-11-22"
    assert told["genco.rows.train"].int_value == 900
    assert told["genco.base_reward"].double_value == 0.04
    assert failed.status.code == 2  # ERROR
    assert "access is denied" in str(failed.events)


def test_durations_are_measured_by_stage_and_outcome(
    seen: Seen, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, seen.url)
    end_in_both_ways(day)
    assert {m.name for m in seen.metrics} == {telemetry.DURATION}
    points = {
        tuple(sorted(a.value.string_value for a in point.attributes)): point.count
        for point in seen.metrics[-1].histogram.data_points
    }
    assert points == {("done", "train_reward"): 1, ("failed", "ingest_logs"): 1}


def test_a_receiver_that_refuses_or_is_away_stops_nothing_and_is_told(
    seen: Seen, day: Day, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen.status = 400
    monkeypatch.setenv("GENCO_LOG", "json")
    monkeypatch.setenv("OPENLINEAGE_URL", seen.url)
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    assert observed("train_reward", day, Result) == Result()
    events = [json.loads(line)["event"] for line in lines(capsys)]
    assert events.count("lineage not sent") == 2
    assert seen.events == []


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]


def test_the_log_is_json_with_the_day_and_the_run_where_it_is_asked_for(
    day: Day, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end_in_both_ways(day)
    assert lines(capsys) == []
    monkeypatch.setenv("GENCO_LOG", "json")
    end_in_both_ways(day)
    told = [json.loads(line) for line in lines(capsys)]
    assert [one["event"] for one in told] == ["start", "complete", "start", "fail"]
    assert {(one["ds"], one["run"], one["attempt"]) for one in told} == {("2026-11-22", RUN, "a1")}
    assert told[1]["rows.train"] == 900
    assert told[1]["seconds"] >= 0
    assert told[3]["error"].endswith("access is denied")


def test_no_vendor_is_imported_where_nobody_watches(day: Day) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from components.day import Day, Frozen; "
        "from components.watching import observed; "
        "observed('notify', Day(ds='2026-11-22', store='s', work='w'), Frozen); "
        "print([n for n in sys.modules if n.split('.')[0] in ('openlineage', 'opentelemetry')])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("given", ["a name of the platform", RUN, ""])
def test_a_run_is_named_by_a_uuid_whatever_the_platform_calls_it(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENCO_RUN_ID", given)
    assert str(UUID(run_id())) == run_id()
    assert (run_id() == given) == (given == RUN)


def test_a_collector_that_never_answers_is_waited_for_once_a_process(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TIMEOUT", raising=False)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        monkeypatch.setenv(telemetry.ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
        observed("ingest_logs", day, Result)
        asked = waiting(silent)
        for stage in STAGES[1:]:
            assert observed(stage, day, Result) == Result()
        assert asked >= 1
        assert waiting(silent) == 0
    assert os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] == "1"


def waiting(server: socket.socket) -> int:
    """How many connections nobody took yet."""
    server.settimeout(0.05)
    found = 0
    with contextlib.suppress(TimeoutError):
        while True:
            server.accept()[0].close()
            found += 1
    return found
