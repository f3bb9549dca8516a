"""What is asked and answered over HTTP."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

Word = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Value = StrictStr | StrictBool | StrictInt | Number | None


class Ask(BaseModel):
    """A request for one combination; a context field that is left out counts as missing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    product_id: Word
    context: Annotated[dict[str, Value], Field(max_length=200)] = {}
    impression_id: Word | None = None
    user_id: Word | None = None


class Answer(BaseModel):
    """What to show, the chance that it had, and under which name it was logged."""

    combination: dict[str, str]
    propensity: float
    version: str
    impression_id: str


class Fault(BaseModel):
    """One sentence: what was found, what was expected, what next."""

    error: str
