"""What features are about: an element is one candidate of one product's slot."""

from feast import Entity, ValueType

element = Entity(
    name="element",
    join_keys=["element_key"],
    value_type=ValueType.STRING,
    description="product_id, slot and element_id joined by the unit separator",
)
product = Entity(
    name="product",
    join_keys=["product_id"],
    value_type=ValueType.STRING,
    description="what is advertised",
)
