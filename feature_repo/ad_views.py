"""What was known of an element or a product at the end of a day, over 1, 7 and 28 days.

lift_W: log of the element's smoothed click rate over W days against its product's.
weight_W: log(1 + displays) over W days.
"""

from datetime import timedelta

from ad_entities import element, product
from ad_sources import element_history_source, product_history_source
from feast import FeatureView, Field
from feast.types import Float32

TTL = timedelta(days=29)

element_history = FeatureView(
    name="element_history",
    entities=[element],
    ttl=TTL,
    schema=[
        Field(name=f"{kind}_{days}", dtype=Float32)
        for days in (1, 7, 28)
        for kind in ("lift", "weight")
    ]
    + [Field(name="age_days", dtype=Float32)],
    source=element_history_source,
    online=True,
)
product_history = FeatureView(
    name="product_history",
    entities=[product],
    ttl=TTL,
    schema=[
        Field(name=f"{kind}_{days}", dtype=Float32)
        for days in (1, 7, 28)
        for kind in ("rate", "weight")
    ],
    source=product_history_source,
    online=True,
)
