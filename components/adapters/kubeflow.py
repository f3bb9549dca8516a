"""The one door to Kubeflow Pipelines' API: versions, runs and recurring runs of one pipeline.

Every request has a time limit, and every failure is one sentence (Failed): the SDK has neither.
A request that changes something is not repeated here; callers look before they act again.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.adapters.kubeflow_told import Recurring, Run, Wanted, recurring_of, run_of
from components.errors import Failed

TIMEOUT_S = 30
ACTIVE = ("PENDING", "RUNNING", "PAUSED", "CANCELING")
PAGE = 100


class NotAllowed(Failed):
    """The server knows us not, or forbids it: asking again does not help."""


class Kubeflow:
    """The API at `host`, in `namespace` where it serves many users; `token` is a bearer token."""

    def __init__(
        self,
        host: str,
        namespace: str | None = None,
        token: str | None = None,
        timeout_s: int = TIMEOUT_S,
    ) -> None:
        self.host, self._namespace = host.rstrip("/"), namespace
        self._timeout_s = timeout_s
        with self._speaking("open"):
            self._healthy(token)
            from kfp.client import Client

            self._client = Client(
                host=self.host, namespace=namespace or "kubeflow", existing_token=token
            )
        self._limit(self._client._run_api.api_client)

    def _limit(self, api_client: Any) -> None:
        """Every request of this client ends within the time limit, and is not repeated."""
        rest = api_client.rest_client
        rest.pool_manager.connection_pool_kw["retries"] = False
        ask = rest.request

        def request(*arguments: Any, **named: Any) -> Any:
            limit = named.pop("_request_timeout", None) or self._timeout_s
            return ask(*arguments, _request_timeout=limit, **named)

        rest.request = request

    def _healthy(self, token: str | None) -> None:
        """The server answers; asked first, since the SDK itself tries for half a minute."""
        import kfp_server_api

        settings = kfp_server_api.Configuration(host=self.host)
        if token:
            settings.api_key["authorization"] = token
            settings.api_key_prefix["authorization"] = "Bearer"
        with kfp_server_api.ApiClient(settings) as api_client:
            self._limit(api_client)
            kfp_server_api.HealthzServiceApi(api_client).healthz_service_get_healthz()

    @contextmanager
    def _speaking(self, action: str) -> Iterator[None]:
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError, LocationParseError

        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                yield
            except ApiException as error:
                kind = NotAllowed if error.status in (401, 403) else Failed
                raise kind(self._sentence(action, error)) from error
            except (HTTPError, LocationParseError, OSError) as error:
                raise Failed(
                    f"cannot {action} Kubeflow Pipelines at {self.host}: it did not answer within "
                    f"{self._timeout_s} s or cannot be reached ({_short(error)}); check "
                    "cluster.host (KF_PIPELINES_ENDPOINT), the port-forward or the network policy, "
                    "then run the same command again: nothing is done twice"
                ) from error

    def _sentence(self, action: str, error: Any) -> str:
        where = f"cannot {action} Kubeflow Pipelines at {self.host}"
        if error.status == 401:
            return (
                f"{where}: the token is missing, wrong or expired (401); give a new one in the "
                "variable that cluster.token_env names, such as "
                "$(kubectl create token ACCOUNT -n NAMESPACE --audience pipelines.kubeflow.org)"
            )
        if error.status == 403:
            return (
                f"{where}: this account may not do that (403) in namespace {self._namespace}; "
                "bind it to the role in deploy/base/rbac.yaml"
            )
        said = _message(error)
        again = "run the same command again: nothing is done twice"
        return f"{where}: the server answered {error.status} {said}; {again}"

    # ---- versions of the pipeline

    def ensure_version(self, pipeline: str, version: str, package: Path) -> tuple[str, str]:
        """(pipeline's id, version's id); uploaded only where no version of that name is there."""
        with self._speaking("upload the pipeline to"):
            number = self._client.get_pipeline_id(pipeline)
            if number is None:
                number = self._client.upload_pipeline(
                    str(package), pipeline_name=pipeline, namespace=self._namespace
                ).pipeline_id
            known = self._version_id(number, version)
            if known is None:
                known = self._client.upload_pipeline_version(
                    str(package), pipeline_version_name=version, pipeline_id=number
                ).pipeline_version_id
        return number, known

    def find_version(self, pipeline: str, version: str) -> str | None:
        """The id of a version that is there already, else None; uploads nothing."""
        with self._speaking("look for the pipeline in"):
            number = self._client.get_pipeline_id(pipeline)
            return None if number is None else self._version_id(number, version)

    def _version_id(self, pipeline: str, version: str) -> str | None:
        def page(token: str) -> tuple[list[Any] | None, str | None]:
            found = self._client.list_pipeline_versions(pipeline, token, PAGE)
            return found.pipeline_versions, found.next_page_token

        named = [v for v in _pages(page) if v.display_name == version]
        return named[0].pipeline_version_id if named else None

    def ensure_experiment(self, name: str) -> str:
        """The experiment's id; made where there is none of that name."""
        with self._speaking("open an experiment in"):
            return self._client.create_experiment(name, namespace=self._namespace).experiment_id

    # ---- runs

    def submit(
        self,
        experiment: str,
        name: str,
        version: tuple[str, str],
        parameters: Mapping[str, Any],
        service_account: str | None,
    ) -> str:
        """The id of the run that was made."""
        with self._speaking("submit a run to"):
            made = self._client.run_pipeline(
                experiment,
                name,
                params=dict(parameters),
                pipeline_id=version[0],
                version_id=version[1],
                service_account=service_account,
            )
        return made.run_id

    def active_run(self, experiment: str, name: str) -> str | None:
        """The id of a run of this name that has not ended, else None."""
        import json

        named = {"operation": "EQUALS", "key": "display_name", "stringValue": name}

        def page(token: str) -> tuple[list[Any] | None, str | None]:
            chosen = json.dumps({"predicates": [named]})
            found = self._client.list_runs(token, PAGE, experiment_id=experiment, filter=chosen)
            return found.runs, found.next_page_token

        with self._speaking("list the runs of"):
            going = [run.run_id for run in _pages(page) if (run.state or "PENDING") in ACTIVE]
        return going[0] if going else None

    def run(self, number: str) -> Run:
        """The run as it is now."""
        with self._speaking("follow a run of"):
            told = self._client.get_run(number)
        return run_of(number, told)

    def run_link(self, number: str) -> str:
        return f"{self.host}/#/runs/details/{number}"

    # ---- recurring runs

    def recurring_runs(self) -> list[Recurring]:
        """Every recurring run of the namespace."""

        def page(token: str) -> tuple[list[Any] | None, str | None]:
            found = self._client.list_recurring_runs(token, PAGE, namespace=self._namespace)
            return found.recurring_runs, found.next_page_token

        with self._speaking("list the recurring runs of"):
            return [recurring_of(one) for one in _pages(page)]

    def create_recurring(self, experiment: str, version: tuple[str, str], wanted: Wanted) -> str:
        """The id of the recurring run that was made, enabled."""
        with self._speaking("create a recurring run in"):
            made = self._client.create_recurring_run(
                experiment,
                wanted.name,
                description=wanted.description,
                cron_expression=wanted.cron,
                max_concurrency=wanted.max_concurrency,
                no_catchup=wanted.no_catchup,
                params=dict(wanted.parameters),
                pipeline_id=version[0],
                version_id=version[1],
                service_account=wanted.service_account,
            )
        return made.recurring_run_id

    def delete_recurring(self, number: str) -> None:
        with self._speaking("delete a recurring run of"):
            self._client.delete_recurring_run(number)

    def enable_recurring(self, number: str) -> None:
        with self._speaking("enable a recurring run of"):
            self._client.enable_recurring_run(number)

    def disable_recurring(self, number: str) -> None:
        with self._speaking("disable a recurring run of"):
            self._client.disable_recurring_run(number)


def _pages(page: Callable[[str], tuple[list[Any] | None, str | None]]) -> Iterator[Any]:
    token = ""
    while True:
        rows, following = page(token)
        yield from rows or ()
        if not following:
            return
        token = following


def _message(error: Any) -> str:
    import json

    try:
        return " ".join(str(json.loads(error.body)["message"]).split())[:300]
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
