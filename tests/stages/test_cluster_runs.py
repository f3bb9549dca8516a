"""`genco run --runner cluster` against the stand-in API server."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from cluster_place import DAILY, IMAGE, write_config, write_schedules
from kfp_api import SUCCESS, Fault, Kfp, kfp_server
from typer.testing import CliRunner

from components.adapters.kubeflow import Kubeflow
from components.day import Day
from components.errors import Failed, Refused, WrongUse
from components.plan import day_of, expand_ds
from components.step import leave_word, read_word, word_path
from pipelines import cluster
from pipelines.cli import app
from pipelines.config import load_config
from pipelines.local import Summary

RUN = {"attempt": "a", "version": 3, "verdict": "HOLD", "reasons": ["too few"], "next": "wait"}
RUN |= {"bundle": "b", "page": "p.html"}
DS, TODAY = "2026-11-22", "2026-11-23"
UPLOADS = [("POST", f"/apis/v2beta1/pipelines/{word}") for word in ("upload", "upload_version")]


@pytest.fixture
def server():
    with kfp_server() as state:
        yield state


def run(root: Path, server: Kfp | None, more: str = "", image: str = IMAGE):
    lines: list[str] = []
    config = load_config(write_config(root, server, more, image))
    return cluster.run_day(config, DS, lines.append, lambda seconds: None, TODAY), lines


def test_a_day_is_submitted_once_with_its_plan_and_followed_to_its_end(
    server: Kfp, tmp_path: Path
) -> None:
    summary, lines = run(tmp_path, server)
    (made,) = server.runs.values()
    assert made.display_name.startswith(f"small {DS} ")
    assert made.runtime_config.parameters["ds"] == DS
    day = day_of(made.runtime_config.parameters["plan"], DS)
    assert (day.store, day.work) == ("s3://ads/genco", "/tmp/genco/small")
    assert IMAGE.split("@")[1] in made.runtime_config.parameters["plan"]
    assert [line for line in lines if "train generator" in line] == [
        "train generator: running",
        "train generator: succeeded",
    ]
    assert summary.verdict is None
    assert "can't be read from here" in summary.reasons[0]


def test_the_same_graph_is_uploaded_once_under_the_hash_of_its_content(
    server: Kfp, tmp_path: Path
) -> None:
    run(tmp_path, server)
    run(tmp_path, server)
    assert [one for one in server.changes() if "pipelines" in one[1]] == UPLOADS
    run(tmp_path, server, image=IMAGE.replace("a" * 64, "b" * 64))
    names = [v.display_name for v in server.versions.values()]
    assert len(names) == len(set(names)) == 3
    assert len(server.runs) == 3


def test_a_run_that_still_goes_is_followed_and_not_started_again(
    server: Kfp, tmp_path: Path
) -> None:
    server.script = ({"state": "RUNNING"},)
    with pytest.raises(Failed, match="did not end within"):
        run(tmp_path, server, "wait_hours: 0.00001")
    server.script = SUCCESS
    _, lines = run(tmp_path, server)
    assert len(server.runs) == 1
    assert "is going already" in lines[0]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            {"state": "FAILED", "tasks": {"ingest logs": "FAILED"}}
            | {"task_error": {"ingest logs": "cannot read s3://ads/logs: access is denied"}},
            r"ended FAILED; step ingest logs failed: cannot read s3://ads/logs: access is denied",
        ),
        (
            {"state": "FAILED", "error": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."},
            r"no node offers nvidia.com/gpu: add one, or train on the CPU by cluster.steps",
        ),
        ({"state": "CANCELED"}, "ended CANCELED; it gives no cause"),
    ],
)
def test_a_run_that_does_not_succeed_fails_in_one_sentence(
    server: Kfp, tmp_path: Path, step: dict, said: str
) -> None:
    server.script = ({"state": "RUNNING"}, step)
    with pytest.raises(Failed, match=said) as caught:
        run(tmp_path, server)
    assert "/#/runs/details/r-" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_step_that_waits_for_a_gpu_is_told_of_once(server: Kfp, tmp_path: Path) -> None:
    waiting = {"state": "RUNNING", "tasks": {"train generator": "PENDING"}}
    server.script = (*[waiting] * 6, *SUCCESS[-1:])
    _, lines = run(tmp_path, server, "poll_s: 200")
    assert len([line for line in lines if "is a node (and a nvidia.com/gpu) free" in line]) == 1


def test_one_500_while_following_is_no_end_and_five_in_a_row_are(
    server: Kfp, tmp_path: Path
) -> None:
    server.faults = [Fault("GET", "/runs/r-", 500, after=1, times=4)]
    _, lines = run(tmp_path, server)
    assert len([line for line in lines if "asking again" in line]) == 4
    server.faults = [Fault("GET", "/runs/r-", 500, times=5)]
    with pytest.raises(Failed, match="answered 500"):
        run(tmp_path, server)


@pytest.mark.parametrize("status", [500, 401, 403])
def test_an_answer_that_is_an_error_is_one_sentence(
    server: Kfp, tmp_path: Path, status: int
) -> None:
    server.faults = [Fault("POST", "/runs$", status)]
    with pytest.raises(Failed, match=str(status)) as caught:
        run(tmp_path, server)
    assert "\n" not in str(caught.value)
    assert run(tmp_path, server)[1]
    assert len(server.runs) == 1


def test_an_expired_token_is_told_and_a_good_one_taken_from_the_environment(
    server: Kfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "fresh"
    monkeypatch.setenv("GENCO_KFP_TOKEN", "stale")
    with pytest.raises(Failed, match=r"token is missing, wrong or expired \(401\)") as caught:
        run(tmp_path, server)
    assert "stale" not in str(caught.value)
    monkeypatch.setenv("GENCO_KFP_TOKEN", "fresh")
    assert run(tmp_path, server)[1]


def test_a_server_that_is_away_or_asleep_is_told_within_the_time_limit(
    server: Kfp, tmp_path: Path
) -> None:
    with pytest.raises(Failed, match="cannot be reached"):
        run(tmp_path, None)
    server.faults = [Fault("GET", "/healthz", 200, delay=3)]
    with pytest.raises(Failed, match="did not answer within 1 s"):
        Kubeflow(server.host, timeout_s=1)


def test_what_only_this_machine_has_is_refused_before_anything_is_asked(
    server: Kfp, tmp_path: Path
) -> None:
    with pytest.raises(WrongUse, match="names no digest"):
        run(tmp_path, server, image="genco:latest")
    file = write_config(tmp_path, server)
    file.write_text(file.read_text().replace("s3://ads/logs", "/data/logs"))
    with pytest.raises(WrongUse, match="logs is /data/logs"):
        cluster.run_day(load_config(file), DS, print, today=TODAY)
    with pytest.raises(WrongUse, match="in the future"):
        cluster.run_day(load_config(file), "2026-11-24", print, today=TODAY)
    file.write_text(file.read_text().replace(server.host, "kfp.example"))
    with pytest.raises(WrongUse, match="expected a URL"):
        cluster.open_cluster(load_config(file).cluster)
    assert server.asked == []


def test_a_day_minus_days_is_the_day_that_a_recurring_run_means() -> None:
    assert expand_ds("2026-03-01 minus 1") == "2026-02-28"
    assert expand_ds(DS) == DS
    for wrong in ("[[ScheduledTime.2006-01-02]] minus 1", f"{DS} minus x", "minus 1"):
        with pytest.raises(WrongUse):
            expand_ds(wrong)


def test_a_run_that_a_rule_refused_is_blocked_by_the_word_that_its_step_left(
    server: Kfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Day(ds=DS, store=str(tmp_path / "store"), work=str(tmp_path))
    monkeypatch.setattr(cluster, "day_of", lambda plan, ds: store)
    server.script = ({"state": "RUNNING"}, {"state": "FAILED"})
    monkeypatch.setenv("GENCO_RUN_ID", "of another run")
    leave_word(store, "ingest_logs", Refused("no logs for the day"))
    with pytest.raises(Failed, match="ended FAILED"):
        run(tmp_path, server)
    words = store.storage().read(word_path(DS))
    told = json.loads(words) | {"run": "r-0010"}
    store.storage().write(word_path(DS), json.dumps(told).encode())
    monkeypatch.setattr(cluster, "read_word", lambda day, run: read_word(day, "r-0010"))
    for script in ({"state": "FAILED"}, {"state": "SUCCEEDED"}):
        server.script = ({"state": "RUNNING"}, script)
        summary, _ = run(tmp_path, server)
        assert (summary.verdict, summary.reasons) == ("BLOCKED", ["no logs for the day"])


@pytest.mark.parametrize(
    ("manifest", "verdict"),
    [
        (None, "BLOCKED"),
        ({"verdict": "BLOCKED", "reasons": ["too many unfit rows"]}, "BLOCKED"),
        ({"verdict": "FIT", "run": RUN, "pages": {"data": "d.html"}}, "HOLD"),
    ],
)
def test_the_summary_of_a_run_that_succeeded_is_what_the_store_says(
    tmp_path: Path, manifest: dict | None, verdict: str
) -> None:
    if manifest is not None:
        (tmp_path / "manifests").mkdir()
        (tmp_path / "manifests" / f"ds={DS}.json").write_text(json.dumps(manifest))
    summary = Summary(DS)
    plan = {"place": {"store": str(tmp_path), "endpoint": None, "work": "/tmp"}}
    cluster._fill(json.dumps(plan), DS, summary)
    assert summary.verdict == verdict


def test_the_command_line_says_how_the_day_ended_and_prints_progress_beside_its_json(
    server: Kfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "now", lambda: datetime.fromisoformat(f"{TODAY}T10:00:00+00:00"))
    file = write_config(tmp_path, server)
    given = ["run", "--ds", DS, "--config", str(file), "--runner", "cluster", "--json"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["ds"] == DS
    assert "the run: succeeded" in done.stderr
    refused = CliRunner().invoke(app, [*given, "--until", "validate_logs"])
    assert isinstance(refused.exception, WrongUse)


def test_the_command_line_plans_and_applies_schedules(server: Kfp, tmp_path: Path) -> None:
    write_config(tmp_path, server)
    file = write_schedules(tmp_path, DAILY)

    def said(what: str) -> dict:
        done = CliRunner().invoke(app, ["schedule", what, "--file", str(file), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout.splitlines()[-1])

    assert [one["doing"] for one in said("plan")["changes"]] == ["create"]
    assert said("apply")["equal"] is False
    assert said("plan")["equal"] is True
    wrong = CliRunner().invoke(app, ["schedule", "delete", "--file", str(file)])
    assert isinstance(wrong.exception, WrongUse)
