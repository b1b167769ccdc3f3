"""What everything vetted carries: where it comes from, who looked at it, and how long it may be used."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# How long a record may stand before a person looks at its sources again.
_LIFETIME = {"high": timedelta(days=366), "medium": timedelta(days=184)}

Source = Annotated[str, Field(pattern=r"^https?://\S+$")]
# Something to read, and nothing that Markdown would act on.
Words = Annotated[str, Field(pattern=r"^[^\n*_`\[\]<>|\\?]*[\p{L}\p{N}][^\n*_`\[\]<>|\\?]*$")]


class Vetted(BaseModel):
    """Something that a person looked at before anybody reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[tuple[Source, ...], Field(min_length=1)]
    confidence: Literal["high", "medium"]
    verified_on: date
    verified_by: Words
    expires_on: date = Field(description="the first day on which it is no longer printed")
    review: Literal["reviewed", "draft"]

    @model_validator(mode="after")
    def _stands_no_longer_than_it_may(self) -> Self:
        if not self.verified_on < self.expires_on <= self.verified_on + _LIFETIME[self.confidence]:
            raise ValueError(f"expires_on must lie within {_LIFETIME[self.confidence].days} days after verified_on")
        return self

    def printable(self, today: date) -> bool:
        """Whether a person may be shown this today: reviewed, and not expired.

        A day before `verified_on` hides nothing: a clock that is behind must not silence every line.
        """
        return self.review == "reviewed" and today < self.expires_on
