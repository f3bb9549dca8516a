"""What features are about: products, their elements, and the cells of context."""

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
context_cell = Entity(
    name="context_cell",
    join_keys=["cell_key"],
    value_type=ValueType.STRING,
    description="name=value of the published fields, by name, joined by the unit separator",
)
