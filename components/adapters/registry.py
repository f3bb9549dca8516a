"""The one door to MLflow: versions of one model, their tags, and who they are to us (aliases)."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.adapters.registry_file import prepare_file
from components.errors import Failed

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
FINGERPRINT = "genco.fingerprint"
ENTRY = "genco.ledger"  # number of the ledger's entry that a version rests on
BUNDLE = "genco.bundle"


@dataclass(frozen=True)
class Version:
    """A registered version: its number, where its bundle lies below the store, and its tags."""

    number: int
    bundle: str
    tags: Mapping[str, str]


class Registry:
    """MLflow at a tracking URI, speaking of one model name.

    `artifacts` is where MLflow keeps artifacts when there is no server to say so.
    """

    def __init__(self, tracking_uri: str, name: str, artifacts: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "true")
        os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # it tells of every migration
        self._uri, self._name, self._artifacts = tracking_uri, name, artifacts
        with self._speaking("open the registry"):
            from mlflow.tracking import MlflowClient

            prepare_file(tracking_uri)
            self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    @contextmanager
    def _speaking(self, action: str) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow.exceptions import MlflowException

            try:
                yield
            except (MlflowException, OSError) as error:
                said = str(error).splitlines()[0][:300]
                raise Failed(
                    f"cannot {action} at MLflow {_without_secret(self._uri)}: {said}; is it up "
                    "(make up), and is MLFLOW_TRACKING_URI right? Run again: nothing is lost"
                ) from error

    def find(self, fingerprint: str) -> Version | None:
        """The version made from the same inputs, code and seed, or None."""
        with self._speaking("search the registry"):
            query = f"name = '{self._name}' and tags.`{FINGERPRINT}` = '{fingerprint}'"
            found = self._client.search_model_versions(query)
        return min(map(self._read, found), key=lambda v: v.number) if found else None

    def get(self, number: int) -> Version | None:
        """A version by its number, or None."""
        return next((version for version in self.versions() if version.number == number), None)

    def versions(self) -> list[Version]:
        """Every version, by number."""
        with self._speaking("read the registry"):
            query = f"name = '{self._name}'"
            page = self._client.search_model_versions(query)
            found = list(page)
            while page.token:
                page = self._client.search_model_versions(query, page_token=page.token)
                found += page
        return sorted((self._read(v) for v in found), key=lambda version: version.number)

    def aliases(self) -> dict[str, int]:
        """Alias -> the number of the version that it names."""
        with self._speaking("read the registry"):
            found = self._client.search_registered_models(f"name = '{self._name}'")
        return {a: int(number) for a, number in found[0].aliases.items()} if found else {}

    def alias(self, alias: str) -> Version | None:
        """The version that an alias names, or None."""
        number = self.aliases().get(alias)
        return self.get(number) if number is not None else None

    def _read(self, version: Any) -> Version:
        return Version(int(version.version), version.tags.get(BUNDLE, ""), dict(version.tags))

    def register(
        self,
        location: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
        artifacts: Mapping[str, str],
    ) -> Version:
        """A new version with a run that shows its metrics and text artifacts (name -> content).

        A run that the platform started for this step (MLFLOW_RUN_ID) is adopted. Where another
        run registered the same fingerprint meanwhile, the lower number stands for both.
        """
        with self._speaking("register a version"):
            self._ensure_model()
            adopted = self._platforms_run()
            run = adopted or self._start_run(tags)
            self._log(run, metrics, artifacts)
            version = self._client.create_model_version(
                self._name, source=location, run_id=run, tags=dict(tags)
            )
            if adopted is None:
                self._client.set_terminated(run)
            return self._first(self._read(version))

    def _platforms_run(self) -> str | None:
        """The run that Kubeflow's MLflow plug-in started for this step, where this server has it."""
        from mlflow.exceptions import MlflowException

        run = os.environ.get("MLFLOW_RUN_ID")
        try:
            return self._client.get_run(run).info.run_id if run else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None  # the plug-in writes to another server than the plan

    def _first(self, mine: Version) -> Version:
        """The lowest version of this fingerprint; ours is withdrawn where it is another."""
        first = self.find(mine.tags[FINGERPRINT]) if FINGERPRINT in mine.tags else None
        if first is None or first.number == mine.number:
            return mine
        self._client.delete_model_version(self._name, str(mine.number))
        return first

    def _ensure_model(self) -> None:
        if not self._client.search_registered_models(f"name = '{self._name}'"):
            self._client.create_registered_model(self._name)

    def prepare(self) -> None:
        """The model and its experiment exist, so that runs at once need not race to make them."""
        with self._speaking("prepare the registry"):
            self._ensure_model()
            self._experiment()

    def _experiment(self) -> str:
        experiment = self._client.get_experiment_by_name(self._name)
        if experiment is not None:
            return experiment.experiment_id
        if self._uri.startswith("sqlite:"):
            location = self._artifacts.absolute().as_uri()
            return self._client.create_experiment(self._name, artifact_location=location)
        return self._client.create_experiment(self._name)

    def _start_run(self, tags: Mapping[str, str]) -> str:
        name = f"{self._name} {tags.get('genco.ds', '')}"
        run = self._client.create_run(self._experiment(), run_name=name, tags=dict(tags))
        return run.info.run_id

    def _log(self, run: str, metrics: Mapping[str, float], artifacts: Mapping[str, str]) -> None:
        from mlflow.entities import Metric

        rows = [Metric(key, float(value), 0, 0) for key, value in sorted(metrics.items())]
        self._client.log_batch(run, metrics=rows)
        for name, content in artifacts.items():
            self._client.log_text(run, content, name)

    def point(self, alias: str, number: int) -> None:
        """The alias names this version from now on."""
        with self._speaking(f"move alias {alias}"):
            self._client.set_registered_model_alias(self._name, alias, str(number))

    def tag(self, number: int, key: str, value: str) -> None:
        """The version says this of itself from now on."""
        with self._speaking(f"tag version {number}"):
            self._client.set_model_version_tag(self._name, str(number), key, value)

    def subscribe(self, url: str, secret: str) -> None:
        """MLflow tells this address of every alias that is set or removed, signed."""
        events: list[Any] = ["model_version_alias.created", "model_version_alias.deleted"]
        with self._speaking("subscribe to aliases"):
            for known in self._client.list_webhooks():
                if known.url == url:
                    self._client.delete_webhook(known.webhook_id)
            self._client.create_webhook(
                f"genco-{self._name}"[:62].rstrip("-_"), url, events, secret=secret
            )

    def show(self, version: Version, artifacts: Mapping[str, str]) -> None:
        """Adds text artifacts to the version's run, for people who look in MLflow."""
        with self._speaking("add artifacts"):
            found = self._client.get_model_version(self._name, str(version.number))
            for name, content in artifacts.items():
                self._client.log_text(found.run_id, content, name)


def platform_run() -> str:
    """The run of the platform that this step belongs to (GENCO_RUN_ID), or "local"."""
    return os.environ.get("GENCO_RUN_ID") or "local"


def _without_secret(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rsplit('@', 1)[-1]}"
