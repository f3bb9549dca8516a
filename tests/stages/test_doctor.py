"""What the doctor says of settings, places and the cluster; a sentence for each, wrong or well."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from kfp_api import Fault, kfp_server

from components.doctor import checks
from components.doctor.checks import Checkup
from pipelines import doctor
from pipelines.config import Config, load_config

CONFIG = """\
name: small
logs: {root}/logs
catalog: {root}/catalog
store: {root}/store
slots: [title]
window_days: 7
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(doctor, "now", lambda: datetime(2026, 11, 23, 9, tzinfo=UTC))
    file = tmp_path / "small.yaml"
    file.write_text(CONFIG.format(root=tmp_path))
    return load_config(file)


def lay(place: Path) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")


@pytest.mark.parametrize(
    ("ds", "status", "said"),
    [
        ("2026-11-22", "well", "its newest day is 2026-11-22"),
        ("2026-11-19", "note", "4 days ago: has the delivery stopped"),
        ("2026-11-01", "note", "no impressions or aggregates of the last 7 days"),
        (None, "note", "is the location right"),
    ],
)
def test_the_newest_day_of_the_logs_is_told(
    config: Config, tmp_path: Path, ds: str | None, status: str, said: str
) -> None:
    if ds is not None:
        lay(tmp_path / "logs" / "aggregates" / f"dt={ds}" / "part.parquet")
    (found,) = doctor._logs(config)
    assert found.status == status
    assert said in found.sentence


def test_a_catalog_without_elements_is_wrong(config: Config, tmp_path: Path) -> None:
    assert doctor._catalog(config)[0].status == "wrong"
    lay(tmp_path / "catalog" / "elements" / "dt=2026-11-22" / "part.parquet")
    assert doctor._catalog(config)[0].status == "well"


def test_a_place_that_cannot_be_read_is_wrong_and_the_other_checks_go_on(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = config.model_copy(update={"logs": "s3://ads/x", "endpoint_url": "http://127.0.0.1:9"})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    (found,) = doctor._try("logs", lambda: doctor._logs(away))
    assert (found.check, found.status) == ("logs", "wrong")
    assert "s3://ads/x" in found.sentence


def test_the_cluster_is_asked_only_where_one_is_configured(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._cluster(config) == []
    monkeypatch.delenv("GENCO_KFP_TOKEN", raising=False)
    with kfp_server() as server:
        named = config.cluster.model_copy(update={"host": server.host})
        there = config.model_copy(update={"cluster": named})
        assert doctor._cluster(there)[0].status == "well"
        server.faults = [Fault("GET", "/recurringruns", 401)]
        (found,) = doctor._try("cluster", lambda: doctor._cluster(there))
    assert found.status == "wrong"
    assert "token is missing, wrong or expired" in found.sentence


def test_a_package_that_is_not_the_pinned_one_is_named() -> None:
    (found,) = checks.packages({"kfp": "2.17.0", "torch": "2.13.0"}, {"kfp": "2.16.0"})
    assert found.status == "wrong"
    assert "kfp 2.16.0 (pinned 2.17.0)" in found.sentence
    assert checks.packages({"kfp": "2.17.0"}, {"kfp": "2.17.0"})[0].status == "well"


def test_only_what_is_wrong_fails_the_whole() -> None:
    assert doctor.is_clean([Checkup("a", "well", ""), Checkup("b", "note", "")])
    assert not doctor.is_clean([Checkup("a", "well", ""), Checkup("b", "wrong", "")])
