"""Options: frozen, typed, checked once at construction, with one sentence per mistake.

One line per option (type, default, bounds, meaning) makes the command-line flag, the JSON, the row in the report and
the error message.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cellwright.errors import CellwrightError, OptionError, did_you_mean


class Options(BaseModel):
    """Base of all options. Raises `OptionError` for an unknown name or a value out of bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            # a validator's own sentence, or that of options within these, says it already
            cause = error.errors()[0].get("ctx", {}).get("error")
            raise cause if isinstance(cause, CellwrightError) else OptionError(self._sentence(error)) from None

    @classmethod
    def _sentence(cls, error: ValidationError) -> str:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][0])
            known = list(cls.model_fields)
            return f"{cls.__name__} has no option {name!r}; it has {', '.join(known)}.{did_you_mean(name, known)}"
        # pydantic writes where the value sits as a path; the last readable part of it is the option's name
        name = ".".join(str(part) for part in first["loc"]) or "the value"
        must = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        return f"{name} of {cls.__name__} {must[0].lower() + must[1:]}; it is {first['input']!r}."


def chosen_from(table: Mapping[str, type[Options]], role: str) -> Callable[[object], Options]:
    """What makes an option of a choice among options with a `name`: themselves, a dict with the name, or the name.

    It raises `OptionError` with the names there are, for `role` ("likelihood").
    """

    def choose(value: object) -> Options:
        if isinstance(value, Options):
            return value
        options = dict(value) if isinstance(value, dict) else {"name": value}
        name = options.get("name")
        if not isinstance(name, str) or name not in table:
            known = ", ".join(table)
            raise OptionError(f"{role} must be one of {known}; it is {name!r}.{did_you_mean(str(name), table)}")
        return table[name](**options)

    return choose
