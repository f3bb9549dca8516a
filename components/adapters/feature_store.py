"""The one door to Feast: declare, join point in time, materialise, read online.

The declarations live in feature_repo/ and name their Parquet files without a folder; this door
says in which folder they lie when it registers them (Feast's duckdb store reads a relative path
below the current folder), so the same declarations serve every run.
"""

import contextlib
import hashlib
import importlib
import io
import os
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

FEATURE_REPO = Path(__file__).resolve().parents[2] / "feature_repo"
MODULES = ("ad_entities", "ad_sources", "ad_views", "ad_services")
SERVICE = "reward_features"


class FeatureDoor:
    """Feast on a folder that holds the views' Parquet files; DuckDB joins, SQLite or Redis serves.

    `registry` is a SQL URL and `redis` a connection string; where not given, the environment's
    GENCO_FEAST_REGISTRY and GENCO_REDIS count (URLs may hold secrets), else SQLite and files.
    """

    def __init__(
        self, folder: Path, project: str, registry: str | None = None, redis: str | None = None
    ) -> None:
        _quiet()
        registry = registry or os.environ.get("GENCO_FEAST_REGISTRY")
        redis = redis or os.environ.get("GENCO_REDIS")
        from feast import FeatureStore
        from feast.repo_config import RepoConfig

        folder.mkdir(parents=True, exist_ok=True)
        online: dict[str, Any] = {"type": "sqlite", "path": str(folder / "online_store.db")}
        if redis is not None:
            online = {"type": "redis", "connection_string": redis}
        where: Any = str(folder / "registry.db")
        if registry is not None:
            where = {"registry_type": "sql", "path": registry}
        config = RepoConfig(
            project=project.replace("-", "_"),
            provider="local",
            registry=where,
            online_store=online,
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
        )
        config.repo_path = folder
        self._folder = folder
        self._store = FeatureStore(config=config)

    def apply(self) -> list[str]:
        """Registers what feature_repo/ declares; returns the names of the views."""
        declared = declarations()
        for source in declared:
            if hasattr(source, "file_options"):
                source.file_options.uri = str(self._folder / Path(source.path).name)
        self._store.apply(declared)
        return sorted(view.name for view in self._store.list_feature_views())

    def history_at(self, keys: pa.Table) -> pa.Table:
        """Features of each element_key as known at its event_timestamp; nulls where unknown.

        Rows keep no order; values written later than the timestamp are left out.
        """
        job = self._store.get_historical_features(
            entity_df=keys.to_pandas(),
            features=self._store.get_feature_service(SERVICE),
            filter_by_created_timestamp=True,
        )
        return job.to_arrow()

    def materialize(self, start: datetime, end: datetime) -> None:
        """The online store holds each entity's latest values of start..end."""
        with contextlib.redirect_stdout(io.StringIO()):  # Feast prints its progress
            self._store.materialize(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))

    def online(self, element_keys: list[str]) -> pa.Table:
        """The online values of these elements, in their order."""
        answer = self._store.get_online_features(
            features=self._store.get_feature_service(SERVICE),
            entity_rows=[{"element_key": key} for key in element_keys],
        )
        return answer.to_arrow()

    def fingerprint(self) -> str:
        """Names the registered service: views, fields, types, ttl; not when it was applied."""
        service = self._store.get_feature_service(SERVICE)
        text = [service.name]
        for projection in service.feature_view_projections:
            view = self._store.get_feature_view(projection.name)
            fields = [f"{f.name}:{f.dtype}" for f in projection.features]
            text.append(f"{view.name} {view.ttl} {view.entities} {fields}")
        return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def declarations() -> list[Any]:
    """Every Feast object that feature_repo/ declares, each once."""
    from feast import Entity, FeatureService, FeatureView, FileSource

    kinds = (Entity, FeatureService, FeatureView, FileSource)
    found: dict[int, Any] = {}
    sys.path.insert(0, str(FEATURE_REPO))
    try:
        for name in MODULES:
            module = importlib.import_module(name)
            found |= {id(v): v for v in vars(module).values() if isinstance(v, kinds)}
    finally:
        sys.path.remove(str(FEATURE_REPO))
    return list(found.values())


def _quiet() -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    warnings.filterwarnings("ignore", module=r"feast(\..*)?")
