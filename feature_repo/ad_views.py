"""What was known of an element, a product or a cell at the end of a day, and what is served.

lift_W: log of the element's smoothed click rate over W days against its product's.
rate_W: log of the smoothed click rate over W days. weight_W: log(1 + displays) over W days.
Names differ between views, so that a service can hold several of them.
"""

from datetime import timedelta

from ad_entities import context_cell, element, product
from ad_sources import (
    cell_history_source,
    element_content_source,
    element_history_source,
    product_history_source,
    served_policy_source,
)
from feast import FeatureView, Field
from feast.types import Array, Float32, Int64, String

TTL = timedelta(days=29)
FOREVER = timedelta(0)


def _windows(kinds: tuple[str, str]) -> list[Field]:
    return [Field(name=f"{k}_{days}", dtype=Float32) for days in (1, 7, 28) for k in kinds]


element_history = FeatureView(
    name="element_history",
    entities=[element],
    ttl=TTL,
    schema=[*_windows(("lift", "weight")), Field(name="age_days", dtype=Float32)],
    source=element_history_source,
    online=True,
)
product_history = FeatureView(
    name="product_history",
    entities=[product],
    ttl=TTL,
    schema=_windows(("product_rate", "product_weight")),
    source=product_history_source,
    online=True,
)
cell_history = FeatureView(
    name="cell_history",
    entities=[context_cell],
    ttl=TTL,
    schema=_windows(("cell_rate", "cell_weight")),
    source=cell_history_source,
    online=True,
)
element_content = FeatureView(
    name="element_content",
    entities=[element],
    ttl=FOREVER,
    schema=[
        Field(name="text_length", dtype=Float32, description="characters"),
        Field(name="has_embedding", dtype=Float32, description="1 or 0"),
        Field(name="attributes", dtype=Float32, description="how many are given"),
        Field(name="listed_days", dtype=Float32, description="from created_at to the snapshot"),
    ],
    source=element_content_source,
    online=True,
)
served_policy = FeatureView(
    name="served_policy",
    entities=[product, context_cell],
    ttl=timedelta(days=2),
    schema=[
        Field(name="creatives", dtype=Array(String), description="JSON objects slot -> element"),
        Field(name="probabilities", dtype=Array(Float32)),
        Field(name="predicted_rewards", dtype=Array(Float32)),
        Field(name="version", dtype=Int64, description="the champion's number"),
    ],
    source=served_policy_source,
    online=True,
)
