"""Tables as materialize_features and publish_policy write them; paths are below Feast's repo_path.

created_timestamp is when a row was known: the end of the day whose logs or catalog brought it.
"""

from feast import FileSource


def _table(name: str) -> FileSource:
    return FileSource(
        name=f"{name}_source",
        path=f"{name}.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )


element_history_source = _table("element_history")
product_history_source = _table("product_history")
cell_history_source = _table("cell_history")
element_content_source = _table("element_content")
served_policy_source = _table("served_policy")
