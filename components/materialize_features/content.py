"""The catalog's snapshots -> what each element is, a row an element and snapshot (SQL on DuckDB).

A snapshot describes its day and, like the logs of that day, is known when the day ends.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from components.materialize_features.history import element_key
from components.sql import name, parquet

if TYPE_CHECKING:
    import duckdb

CONTENT_FEATURES = ("text_length", "has_embedding", "attributes", "listed_days")


def build_content(database: "duckdb.DuckDBPyConnection", known: Path) -> None:
    """Table element_content from the file of all snapshots (catalog.py of ingest_logs).

    text_length: characters; has_embedding: 1 or 0; attributes: how many are given; listed_days: from
    created_at to the snapshot's day, null where the catalog does not say.
    """
    schema = pq.read_schema(known)
    database.execute(
        f"""
        CREATE TABLE element_content AS
        SELECT DISTINCT ON (element_key, event_timestamp)
               {element_key("product_id", "slot", "element_id")} AS element_key,
               CAST({_text(schema)} AS FLOAT) AS text_length,
               CAST({_embedding(schema)} AS FLOAT) AS has_embedding,
               CAST({_attributes(schema)} AS FLOAT) AS attributes,
               CAST({_age(schema)} AS FLOAT) AS listed_days,
               CAST(CAST(dt AS DATE) AS TIMESTAMPTZ) AS event_timestamp,
               CAST(CAST(dt AS DATE) + 1 AS TIMESTAMPTZ) AS created_timestamp
        FROM {parquet(known)}
        ORDER BY event_timestamp, element_key, {", ".join(CONTENT_FEATURES)}
        """
    )


def _text(schema: pa.Schema) -> str:
    return "coalesce(length(text), 0)" if "text" in schema.names else "0"


def _embedding(schema: pa.Schema) -> str:
    return "coalesce(len(embedding) > 0, false)" if "embedding" in schema.names else "0"


def _attributes(schema: pa.Schema) -> str:
    if "attributes" not in schema.names or not pa.types.is_struct(schema.field("attributes").type):
        return "0"
    fields = [field.name for field in schema.field("attributes").type]
    given = (f"(attributes.{name(field)} IS NOT NULL)::INT" for field in fields)
    return " + ".join(given) or "0"


def _age(schema: pa.Schema) -> str:
    if "created_at" not in schema.names:
        return "NULL"
    return "date_diff('day', TRY_CAST(created_at AS DATE), CAST(dt AS DATE))"
