"""Daily history tables as materialize_features writes them; paths are below Feast's repo_path."""

from feast import FileSource

element_history_source = FileSource(
    name="element_history_source",
    path="element_history.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)
product_history_source = FileSource(
    name="product_history_source",
    path="product_history.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)
