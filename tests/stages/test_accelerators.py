"""A GPU that isn't there is told before anything is read: here, of a pod, and of the nodes."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from cluster_place import write_config
from kfp_api import kfp_server
from tiny_logs import write_catalog, write_good_day

from components.adapters.nodes import schedulable_nodes
from components.errors import Failed, WrongUse
from pipelines import accelerators, backfill, cluster, doctor, running
from pipelines.config import load_config

DS, TODAY = "2026-11-22", "2026-11-23"
GPU = "nvidia.com/gpu"
TINY = """\
name: tiny
logs: {root}/logs
catalog: {root}/catalog
store: {root}/store
slots: [title, image]
context: {{device: categorical, hour: number}}
"""


def node(name: str, gpus: int = 0, cordoned: bool = False, **labels: str) -> dict:
    offers = {"cpu": "8"} | ({GPU: str(gpus)} if gpus else {})
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": cordoned},
        "status": {"allocatable": offers},
    }


@contextmanager
def kubernetes(root: Path, nodes: list[dict], status: int = 200) -> Iterator[Path]:
    """A server of /api/v1/nodes on loopback; the kubeconfig that leads to it."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            return

        def do_GET(self) -> None:
            told = {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": nodes}
            known = self.path.split("?")[0] == "/api/v1/nodes"
            self.send_response(status if known else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told if status == 200 else {"message": "no"}).encode())

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield kubeconfig(root, f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(root: Path, host: str) -> Path:
    file = root / "kubeconfig"
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": host}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


# ---- here


@pytest.mark.parametrize("stage", ["train_reward", "train_generator"])
def test_a_run_that_asks_for_a_gpu_says_so_before_it_reads_anything(
    tmp_path: Path, no_gpu: None, stage: str
) -> None:
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY.format(root=tmp_path) + f"{stage}: {{device: cuda}}\n")
    for run in (
        lambda: running.run(file, "2026-03-10", None, "local"),
        lambda: running.run(file, "2026-03-10", None, "kfp"),
        lambda: backfill.backfill(file, "2026-03-10", "2026-03-10", 1, (), print, TODAY),
    ):
        with pytest.raises(Failed, match=f"{stage}: .* torch sees no GPU on this machine"):
            run()
    assert not (tmp_path / "store").exists()
    (found,) = doctor._try("accelerators", lambda: accelerators.examine(load_config(file)))
    assert found.status == "wrong"
    assert "torch sees no GPU" in found.sentence


def test_what_ends_before_the_training_needs_no_gpu(tmp_path: Path, no_gpu: None) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY.format(root=tmp_path) + "train_generator: {device: cuda}\n")
    accelerators.check_here(load_config(file), "train_reward")
    with pytest.raises(Failed):
        accelerators.check_here(load_config(file), "train_generator")


def test_the_doctor_says_on_what_a_training_would_run_here(tmp_path: Path, no_gpu: None) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY.format(root=tmp_path))
    (found,) = accelerators.examine(load_config(file))
    assert (found.status, found.sentence) == (
        "well",
        "on this machine train_reward on cpu and train_generator on cpu",
    )


# ---- on a cluster


def test_a_gpu_for_a_pod_that_gets_none_is_wrong_use_before_the_server_is_asked(
    tmp_path: Path,
) -> None:
    with kfp_server() as server:
        file = write_config(tmp_path, server)
        file.write_text(file.read_text() + "train_reward: {device: cuda}\n")
        with pytest.raises(
            WrongUse, match=r"train_reward\.device is cuda, but cluster.steps gives"
        ):
            cluster.run_day(load_config(file), DS, print, today=TODAY)
        assert server.asked == []


@pytest.mark.parametrize(
    ("nodes", "more", "said"),
    [
        ([node("a"), node("b")], "", r"the 1 nvidia.com/gpu .* \(the most of 2 nodes is 0\)"),
        ([node("a", 4, cordoned=True), node("b")], "", r"\(the most of 1 nodes is 0\)"),
        ([node("a", 1)], "accelerators: 2", r"the 2 nvidia.com/gpu .* \(the most of 1 nodes is 1"),
        (
            [node("a", 8), node("b", pool="gpu")],
            "node_selector: {pool: gpu}",
            r"\(the most of 1 nodes with pool=gpu is 0\)",
        ),
        ([node("a", 1)], "", None),
        ([node("a", 8, pool="gpu")], "node_selector: {pool: gpu}", None),
        ([node("a")], "accelerators: 0", None),
    ],
)
def test_what_no_node_offers_is_told_at_submit_and_by_the_doctor_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: list[dict], more: str, said: str | None
) -> None:
    lines: list[str] = []
    with kfp_server() as server, kubernetes(tmp_path, nodes) as settings:
        monkeypatch.setenv("KUBECONFIG", str(settings))
        steps = f"steps: {{train_generator: {{{more}}}}}"
        config = load_config(write_config(tmp_path, server, steps))
        cluster.run_day(config, DS, lines.append, lambda seconds: None, TODAY)
        (found,) = accelerators.examine(config)
    told = [line for line in lines if line.startswith("no node offers")]
    if said is None:
        assert (told, found.status) == ([], "well")
        return
    assert re.search(said, told[0]), told[0]
    assert "train_generator.accelerators: 0" in told[0]
    assert (found.status, [found.sentence]) == ("note", told)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_nodes_that_may_not_be_asked_are_a_note_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with kubernetes(tmp_path, [], status) as settings:
        monkeypatch.setenv("KUBECONFIG", str(settings))
        config = load_config(write_config(tmp_path, None))
        (found,) = accelerators.examine(config)
    assert found.status == "note"
    assert f"could not be asked (the API server answered {status}" in found.sentence


def test_a_machine_without_kubectl_or_a_server_says_that_they_could_not_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Failed, match="kubectl is not set up here"):
        schedulable_nodes()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "http://127.0.0.1:9")))
    with pytest.raises(Failed, match="cannot be reached"):
        schedulable_nodes(1)
