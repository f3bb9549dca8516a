"""What feature_repo/ declares, read as Feast reads it, and placed where a run's tables lie."""

import copy
import importlib
import sys
from pathlib import Path
from typing import Any

FEATURE_REPO = Path(__file__).resolve().parents[2] / "feature_repo"
MODULES = ("ad_entities", "ad_sources", "ad_views", "ad_services")


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


def placed(declared: list[Any], folder: Path, offline: str) -> list[Any]:
    """The declarations with their tables in `folder`, in the source type of the offline engine."""
    from feast import FeatureView, FileSource

    sources = {
        one.name: _source(one, folder, offline) for one in declared if isinstance(one, FileSource)
    }
    others = [one for one in declared if not isinstance(one, FileSource)]
    return [
        *sources.values(),
        *(_on(one, sources) if isinstance(one, FeatureView) else one for one in others),
    ]


def _source(source: Any, folder: Path, offline: str) -> Any:
    path = str(folder / Path(source.path).name)
    if offline == "spark":
        from components.adapters.feature_spark import spark_source

        return spark_source(source, path)
    from feast import FileSource

    return FileSource(
        name=source.name,
        path=path,
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )


def _on(view: Any, sources: dict[str, Any]) -> Any:
    moved = copy.copy(view)
    moved.batch_source = moved.data_source = sources[view.batch_source.name]
    return moved
