"""The one door to Feast: register, join point in time, write and read online.

The declarations live in feature_repo/ and name their Parquet files without a folder; this door
says in which folder they lie when it registers them (Feast's duckdb store reads a relative path
below the current folder), so the same declarations serve every run.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from components.adapters.feature_declarations import declarations, placed
from components.adapters.feature_plan import Change, differences
from components.errors import Failed

if TYPE_CHECKING:
    from feast import FeatureService, FeatureView
    from feast.repo_config import RepoConfig

SERVICE = "reward_features"
KEYS_AT_ONCE = 300_000  # of a point-in-time join: a call's keys and what they match are held
Offline = Literal["duckdb", "spark"]


class FeatureDoor:
    """Feast on a folder that holds the views' Parquet files; DuckDB joins, SQLite or Redis serves.

    `registry` is a SQL URL and `redis` a connection string; where not given, the environment's
    GENCO_FEAST_REGISTRY and GENCO_REDIS count (URLs may hold secrets), else SQLite and files.
    `offline` is the engine of the join, `memory` what DuckDB may take of it before it spills.
    """

    def __init__(
        self,
        folder: Path,
        project: str,
        registry: str | None = None,
        redis: str | None = None,
        offline: Offline = "duckdb",
        memory: str | None = None,
    ) -> None:
        _quiet()
        registry = registry or os.environ.get("GENCO_FEAST_REGISTRY")
        redis = online_server(redis)
        from feast import FeatureStore
        from feast.repo_config import RepoConfig

        folder.mkdir(parents=True, exist_ok=True)
        online: dict[str, Any] = {"type": "sqlite", "path": str(folder / "online_store.db")}
        if redis is not None:
            # what is written again for the same instant was corrected, and must replace it; that
            # no older interval is written over a newer one is held by online.py's ledger
            online = {"type": "redis", "connection_string": redis, "skip_dedup": True}
        where: Any = str(folder / "registry.db")
        if registry is not None:
            where = {"registry_type": "sql", "path": registry}
        self._offline: Offline = offline
        config = RepoConfig(
            project=project.replace("-", "_"),
            provider="local",
            registry=where,
            online_store=online,
            offline_store=_engine(offline, folder, memory),
            entity_key_serialization_version=3,
        )
        config.repo_path = folder
        self.folder = folder
        self.project = config.project
        self.online_place = _place(redis, folder)
        with _speaking(config):
            self._store = FeatureStore(config=config)

    def apply(self) -> list[str]:
        """Registers what feature_repo/ declares and nothing else; returns the names of the views."""
        declared = placed(declarations(), self.folder, self._offline)
        kept = {(type(one).__name__, one.name) for one in declared}
        gone = [o for o in self.registered() if (type(o).__name__, o.name) not in kept]
        with _speaking(self._store.config):
            self._store.apply(declared, objects_to_delete=gone, partial=False)
            return sorted(view.name for view in self._store.list_feature_views())

    def plan(self) -> list[Change]:
        """What `apply` would change in the registry."""
        return differences(self.registered(), declarations())

    def fingerprints(self) -> dict[str, str | None]:
        """The reward model's service as registered (None: it is not) and as declared."""
        declared = {one.name: one for one in declarations()}
        known = {(type(one).__name__, one.name) for one in self.registered()}
        return {
            "registered": self.fingerprint() if ("FeatureService", SERVICE) in known else None,
            "declared": fingerprint(declared[SERVICE], declared.__getitem__),
        }

    def registered(self) -> list[Any]:
        """Entities, views and services as the registry has them."""
        with _speaking(self._store.config):
            self._store.refresh_registry()
            return [
                *(one for one in self._store.list_entities() if not one.name.startswith("__")),
                *self._store.list_feature_views(),
                *self._store.list_feature_services(),
            ]

    def view(self, name: str) -> "FeatureView":
        return self._store.get_feature_view(name)

    def history_at(self, keys: pa.Table, features: str | Sequence[str] = SERVICE) -> pa.Table:
        """Features of each row of keys as known at its event_timestamp; nulls where unknown.

        `features` names a service, or features as view:feature. Rows keep no order; values written
        later than the timestamp are left out.
        """
        return pa.concat_tables(self.histories_at(keys, features))

    def histories_at(
        self, keys: pa.Table, features: str | Sequence[str] = SERVICE
    ) -> Iterator[pa.Table]:
        """The same in pieces of at most KEYS_AT_ONCE rows, so that they need not fit in memory."""
        asked = self._features(features)
        for first in range(0, max(len(keys), 1), KEYS_AT_ONCE):
            job = self._store.get_historical_features(
                entity_df=keys.slice(first, KEYS_AT_ONCE).to_pandas(),
                features=asked,
                filter_by_created_timestamp=True,
            )
            yield job.to_arrow()

    def _features(self, features: str | Sequence[str]) -> Any:
        if isinstance(features, str):
            return self._store.get_feature_service(features)
        return list(features)

    def write_online(self, view: str, rows: pa.Table) -> None:
        """The online store holds these rows: the view's join keys, features and timestamps."""
        with _speaking(self._store.config):
            self._store.write_to_online_store(view, df=rows.to_pandas())

    def online(
        self, keys: Mapping[str, Sequence[Any]], features: str | Sequence[str] = SERVICE
    ) -> pa.Table:
        """Online values in the order of the keys (join key -> values), nulls where there are none.

        Beside each feature stands <feature>__ts, seconds since 1970 of its event, 0 where unknown.
        """
        with _speaking(self._store.config):
            answer = self._store.get_online_features(
                features=self._features(features),
                entity_rows=[
                    dict(zip(keys, row, strict=True)) for row in zip(*keys.values(), strict=True)
                ],
            )
        return answer.to_arrow(include_event_timestamps=True)

    def fingerprint(self, service: str = SERVICE) -> str:
        """Names the registered service: views, fields, types, ttl; not when it was applied."""
        return fingerprint(self._store.get_feature_service(service), self.view)


@contextmanager
def _speaking(config: "RepoConfig") -> Iterator[None]:
    """A server that does not answer, or refuses, is one sentence without its secrets."""
    from redis.exceptions import RedisError
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except RedisError as error:
        place = config.online_store.connection_string.split(",")[0]
        raise Failed(
            f"Feast's online values at Redis {place} cannot be read or written "
            f"({type(error).__name__}: {error}); is it up (make up), are features.redis and "
            "GENCO_REDIS right? Then run the same again"
        ) from error
    except SQLAlchemyError as error:
        place = make_url(config.registry.path).render_as_string(hide_password=True)
        raise Failed(
            f"Feast's registry at {place} cannot be read or written ({type(error).__name__}); is it "
            "up (make up), are features.registry and GENCO_FEAST_REGISTRY right? Then run the same "
            "again"
        ) from error


def online_server(configured: str | None) -> str | None:
    """The Redis that serves online values, if any: as configured, else as the environment says."""
    return configured or os.environ.get("GENCO_REDIS")


def fingerprint(service: "FeatureService", view_of: Any) -> str:
    """Names a service by what it gives; `view_of` is name -> view."""
    text = [service.name]
    for projection in service.feature_view_projections:
        view = view_of(projection.name)
        fields = [f"{f.name}:{f.dtype}" for f in projection.features]
        text.append(f"{view.name} {view.ttl} {view.entities} {fields}")
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def _place(redis: str | None, folder: Path) -> str:
    """Names where online values lie, without its secrets."""
    if redis is not None:
        return "redis-" + hashlib.sha256(redis.split(",")[0].encode()).hexdigest()[:12]
    return "sqlite-" + hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]


def _engine(offline: Offline, folder: Path, memory: str | None) -> dict[str, Any]:
    """Feast's settings of the offline store."""
    if offline == "spark":
        from components.adapters.feature_spark import spark_settings

        return spark_settings(folder)
    if memory is not None:
        import ibis

        # Feast's duckdb store works on ibis' default connection
        ibis.get_backend().raw_sql(f"SET memory_limit = '{memory}'")
        ibis.get_backend().raw_sql(f"SET temp_directory = '{folder / 'spill'}'")
    return {"type": "duckdb"}


def _quiet() -> None:
    os.environ.setdefault("FEAST_USAGE", "False")
    warnings.filterwarnings("ignore", module=r"(feast|ibis)(\..*)?")
