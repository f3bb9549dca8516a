"""A stand-in for Kubeflow Pipelines' API server: the v2beta1 REST paths over kfp-server-api's models.

Requests must deserialise into those models with no unknown key, answers are those models
serialised. Runs go through a script of states, one step a look. A test can switch on faults.
"""

import email
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as kfp
import yaml

API = "/apis/v2beta1"
Step = dict[str, Any]
SUCCESS: tuple[Step, ...] = (
    {"state": "PENDING"},
    {"state": "RUNNING", "tasks": {"ingest logs": "RUNNING"}},
    {"state": "RUNNING", "tasks": {"ingest logs": "SUCCEEDED", "train generator": "RUNNING"}},
    {"state": "SUCCEEDED", "tasks": {"ingest logs": "SUCCEEDED", "train generator": "SUCCEEDED"}},
)


@dataclass
class Fault:
    """What happens to matching requests, after `after` of them went well, `times` times."""

    method: str
    path: str
    status: int = 500
    after: int = 0
    times: int = 1
    delay: float = 0.0
    applied: bool = False  # the request takes effect although the answer is an error

    def strikes(self, method: str, path: str) -> bool:
        if method != self.method or not re.search(self.path, path):
            return False
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return False
        self.times -= 1
        return True


class Refusal(Exception):
    """An answer other than 200, as google.rpc.Status tells it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Kfp:
    """What the server holds, and what it was asked for."""

    host: str = ""
    token: str | None = None
    script: tuple[Step, ...] = SUCCESS
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    pipelines: dict[str, kfp.V2beta1Pipeline] = field(default_factory=dict)
    versions: dict[str, kfp.V2beta1PipelineVersion] = field(default_factory=dict)
    experiments: dict[str, kfp.V2beta1Experiment] = field(default_factory=dict)
    runs: dict[str, kfp.V2beta1Run] = field(default_factory=dict)
    recurring: dict[str, kfp.V2beta1RecurringRun] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def changes(self) -> list[tuple[str, str]]:
        """The requests that change something, in order."""
        return [(method, path) for method, path in self.asked if method != "GET"]

    def enabled(self) -> list[kfp.V2beta1RecurringRun]:
        return [one for one in self.recurring.values() if one.mode == "ENABLE"]

    # ---- what the routes do

    def healthz(self, given: "Asked") -> Any:
        return kfp.V2beta1GetHealthzResponse(multi_user=False)

    def list_pipelines(self, given: "Asked") -> Any:
        found, token = given.page(list(self.pipelines.values()))
        return kfp.V2beta1ListPipelinesResponse(
            pipelines=found, total_size=len(self.pipelines), next_page_token=token
        )

    def list_versions(self, given: "Asked", pipeline: str) -> Any:
        mine = [v for v in self.versions.values() if v.pipeline_id == pipeline]
        found, token = given.page(sorted(mine, key=lambda v: v.created_at, reverse=True))
        return kfp.V2beta1ListPipelineVersionsResponse(
            pipeline_versions=found, total_size=len(mine), next_page_token=token
        )

    def upload(self, given: "Asked") -> Any:
        name = given.query["name"]
        if any(p.display_name == name for p in self.pipelines.values()):
            raise Refusal(409, f"The pipeline name {name} already exists.")
        made = kfp.V2beta1Pipeline(
            pipeline_id=self.number("p"), display_name=name, name=name, created_at=stamp()
        )
        self.pipelines[made.pipeline_id] = made
        self._version(made.pipeline_id, name, given)
        return made

    def upload_version(self, given: "Asked") -> Any:
        name, pipeline = given.query["name"], given.query["pipelineid"]
        if pipeline not in self.pipelines:
            raise Refusal(404, f"Pipeline {pipeline} not found.")
        mine = [v for v in self.versions.values() if v.pipeline_id == pipeline]
        if any(v.display_name == name for v in mine):
            raise Refusal(409, f"The pipeline version name {name} already exists.")
        return self._version(pipeline, name, given)

    def _version(self, pipeline: str, name: str, given: "Asked") -> Any:
        documents = list(yaml.safe_load_all(given.upload()))
        if "pipelineInfo" not in documents[0]:
            raise Refusal(400, "Failed to validate the pipeline spec: no pipelineInfo.")
        made = kfp.V2beta1PipelineVersion(
            pipeline_id=pipeline,
            pipeline_version_id=self.number("v"),
            display_name=name,
            name=name,
            created_at=stamp(),
            pipeline_spec=documents[0],
        )
        self.versions[made.pipeline_version_id] = made
        return made

    def list_experiments(self, given: "Asked") -> Any:
        found, token = given.page(list(self.experiments.values()))
        return kfp.V2beta1ListExperimentsResponse(
            experiments=found, total_size=len(self.experiments), next_page_token=token
        )

    def create_experiment(self, given: "Asked") -> Any:
        made = given.body("V2beta1Experiment")
        made.experiment_id, made.created_at = self.number("e"), stamp()
        self.experiments[made.experiment_id] = made
        return made

    def create_run(self, given: "Asked") -> Any:
        made = given.body("V2beta1Run")
        self._check(made)
        made.run_id, made.created_at, made.state = self.number("r"), stamp(), "PENDING"
        self.runs[made.run_id], self.looks[made.run_id] = made, 0
        return made

    def get_run(self, given: "Asked", number: str) -> Any:
        run = self._known(self.runs, number)
        step = self.script[min(self.looks[number], len(self.script) - 1)]
        self.looks[number] += 1
        run.state = step["state"]
        run.error = kfp.GoogleRpcStatus(code=13, message=step["error"]) if "error" in step else None
        run.run_details = kfp.V2beta1RunDetails(task_details=list(tasks_of(run.run_id, step)))
        return run

    def list_runs(self, given: "Asked") -> Any:
        experiment = given.query.get("experiment_id")
        mine = [r for r in self.runs.values() if experiment in (None, r.experiment_id)]
        found, token = given.page(mine)
        return kfp.V2beta1ListRunsResponse(
            runs=found, total_size=len(self.runs), next_page_token=token
        )

    def list_recurring(self, given: "Asked") -> Any:
        found, token = given.page(list(self.recurring.values()))
        return kfp.V2beta1ListRecurringRunsResponse(
            recurring_runs=found, total_size=len(self.recurring), next_page_token=token
        )

    def create_recurring(self, given: "Asked") -> Any:
        made = given.body("V2beta1RecurringRun")
        self._check(made)
        cron = made.trigger and made.trigger.cron_schedule and made.trigger.cron_schedule.cron
        if not cron or len(cron.split()) != 6:
            raise Refusal(400, f"The Schedule cron is invalid: {cron}")
        made.recurring_run_id, made.created_at = self.number("s"), stamp()
        made.status = "ENABLED" if made.mode == "ENABLE" else "DISABLED"
        self.recurring[made.recurring_run_id] = made
        return made

    def delete_recurring(self, given: "Asked", number: str) -> Any:
        self._known(self.recurring, number)
        del self.recurring[number]
        return None

    def enable_recurring(self, given: "Asked", number: str) -> Any:
        one = self._known(self.recurring, number)
        one.mode, one.status = "ENABLE", "ENABLED"
        return None

    def disable_recurring(self, given: "Asked", number: str) -> Any:
        one = self._known(self.recurring, number)
        one.mode, one.status = "DISABLE", "DISABLED"
        return None

    def _check(self, made: Any) -> None:
        reference = made.pipeline_version_reference
        if reference is None or reference.pipeline_version_id not in self.versions:
            raise Refusal(404, "Pipeline version not found.")
        if made.experiment_id not in self.experiments:
            raise Refusal(404, f"Experiment {made.experiment_id} not found.")

    def _known(self, held: dict[str, Any], number: str) -> Any:
        if number not in held:
            raise Refusal(404, f"{number} not found.")
        return held[number]

    def number(self, kind: str) -> str:
        return f"{kind}-{next(self.numbers):04d}"


def stamp() -> datetime:
    return datetime.now(UTC)


def tasks_of(run: str, step: Step) -> Iterator[kfp.V2beta1PipelineTaskDetail]:
    for number, (name, state) in enumerate(step.get("tasks", {}).items()):
        said = step.get("task_error", {}).get(name)
        yield kfp.V2beta1PipelineTaskDetail(
            run_id=run,
            task_id=f"{run}-t{number}",
            display_name=name,
            state=state,
            error=kfp.GoogleRpcStatus(code=13, message=said) if said else None,
        )


@dataclass(frozen=True)
class Asked:
    """One request: its query, its headers and its bytes."""

    query: dict[str, str]
    headers: Any
    content: bytes

    def body(self, model: str) -> Any:
        """The body as kfp-server-api's model; a key that the model lacks is refused."""
        told = json.loads(self.content)
        read = kfp.ApiClient()._ApiClient__deserialize(told, model)
        again = kfp.ApiClient().sanitize_for_serialization(read)
        unknown = set(told) - set(again)
        if unknown:
            raise Refusal(400, f"unknown field {sorted(unknown)} in {model}")
        return read

    def upload(self) -> bytes:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.content)
        (part,) = [p for p in message.get_payload() if 'name="uploadfile"' in str(p)]
        return part.get_payload(decode=True)

    def page(self, rows: list[Any]) -> tuple[list[Any], str]:
        """The rows that the filter keeps, from the page's token on; and the next page's token."""
        given = json.loads(self.query.get("filter") or "{}")
        for predicate in given.get("predicates", []):
            assert predicate["operation"] in ("EQUALS", 1), predicate
            key, value = predicate["key"], predicate["stringValue"]
            key = "display_name" if key == "name" else key
            rows = [row for row in rows if getattr(row, key) == value]
        begin, size = int(self.query.get("page_token") or 0), int(self.query.get("page_size") or 10)
        rest = str(begin + size) if begin + size < len(rows) else ""
        return rows[begin : begin + size], rest


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/healthz", Kfp.healthz),
    ("GET", "/pipelines", Kfp.list_pipelines),
    ("POST", "/pipelines/upload", Kfp.upload),
    ("POST", "/pipelines/upload_version", Kfp.upload_version),
    ("GET", "/pipelines/([^/]+)/versions", Kfp.list_versions),
    ("GET", "/experiments", Kfp.list_experiments),
    ("POST", "/experiments", Kfp.create_experiment),
    ("GET", "/runs", Kfp.list_runs),
    ("POST", "/runs", Kfp.create_run),
    ("GET", "/runs/([^/:]+)", Kfp.get_run),
    ("GET", "/recurringruns", Kfp.list_recurring),
    ("POST", "/recurringruns", Kfp.create_recurring),
    ("DELETE", "/recurringruns/([^/:]+)", Kfp.delete_recurring),
    ("POST", "/recurringruns/([^/:]+):enable", Kfp.enable_recurring),
    ("POST", "/recurringruns/([^/:]+):disable", Kfp.disable_recurring),
)


def answer(state: Kfp, method: str, path: str, given: Asked) -> Any:
    for wanted, pattern, act in ROUTES:
        found = re.fullmatch(API + pattern, path)
        if found and wanted == method:
            return act(state, given, *found.groups())
    raise Refusal(404, f"no such path: {method} {path}")


def act(state: Kfp, method: str, path: str, given: Asked) -> tuple[int, Any, float]:
    """(status, JSON, seconds to wait) of a request, faults and the token considered."""
    state.asked.append((method, path))
    fault = next((f for f in state.faults if f.strikes(method, path)), None)
    broken = fault is not None and fault.status != 200
    delay = fault.delay if fault else 0.0
    try:
        if state.token and given.headers.get("Authorization") != f"Bearer {state.token}":
            raise Refusal(401, "Unauthenticated: the token has expired")
        if broken and not fault.applied:
            raise Refusal(fault.status, "Internal Server Error")
        made = answer(state, method, path, given)
        if broken:
            raise Refusal(fault.status, "Internal Server Error")
    except Refusal as refusal:
        return refusal.status, {"code": 13, "message": str(refusal), "details": []}, delay
    told = kfp.ApiClient().sanitize_for_serialization(made)
    return 200, {} if told is None else told, delay


def handler_of(state: Kfp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            return

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            given = Asked(query, self.headers, content)
            with state.lock:
                status, told, delay = act(state, self.command, parts.path, given)
            time.sleep(delay)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            try:
                self.wfile.write(json.dumps(told).encode())
            except OSError:
                return  # whoever asked did not wait

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (the names that http.server calls)

    return Handler


@contextmanager
def kfp_server(**settings: Any) -> Iterator[Kfp]:
    """A server on loopback for the block; its state is what the test looks at and changes."""
    state = Kfp(**settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(state))
    server.daemon_threads = True
    state.host = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
