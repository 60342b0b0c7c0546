"""Options: frozen, typed, checked once at construction, with one sentence per mistake.

One line per option (type, default, bounds, meaning) makes the command-line flag, the JSON, the row in the report and
the error message.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cellwright.errors import CellwrightError, OptionError, did_you_mean

_SETTING = re.compile(r":(?=\s*[A-Za-z_]\w*=)")


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


@dataclass(frozen=True)
class ChosenFrom:
    """What makes an option of a choice among options with a `name`: see `chosen_from`."""

    table: Mapping[str, type[Options]]
    role: str

    def __call__(self, value: object) -> Options:
        """The options that the value is or stands for."""
        if isinstance(value, Options):
            return value
        name, settings = _named(value)
        if not isinstance(name, str) or name not in self.table:
            known = ", ".join(self.table)
            meant = did_you_mean(str(name), self.table)
            raise OptionError(f"{self.role} must be one of {known}; it is {name!r}.{meant}")
        return self.table[name](**{"name": name, **settings})


def chosen_from(table: Mapping[str, type[Options]], role: str) -> ChosenFrom:
    """What makes an option of a choice among options with a `name`: themselves, a dict with the name, or text.

    The text is the name alone or with settings (see `name_and_settings`). It raises `OptionError` with the names there
    are, for `role` ("likelihood").
    """
    return ChosenFrom(table, role)


@dataclass(frozen=True)
class ChosenPerName:
    """What makes an option of a choice per name (of a modality): see `chosen_per_name`."""

    choice: ChosenFrom

    def __call__(self, value: object) -> dict[str, Options]:
        """The options by name that the value is or stands for."""
        value = _pairs(value, self.choice.role)
        if not isinstance(value, Mapping):
            raise OptionError(
                f"{self.choice.role} must be given by name, such as {{'rna': {next(iter(self.choice.table))!r}}}; "
                f"it is {value!r}."
            )
        return {str(name): self.choice(chosen) for name, chosen in value.items()}


def chosen_per_name(table: Mapping[str, type[Options]], role: str) -> ChosenPerName:
    """As `chosen_from`, but a choice for each of several names: a dict, or text `name=choice,other=choice`."""
    return ChosenPerName(ChosenFrom(table, role))


@dataclass(frozen=True)
class NumberPerName:
    """What makes an option of a number per name (of a modality): see `number_per_name`."""

    role: str

    def __call__(self, value: object) -> object:
        """The numbers by name that the value is or stands for; pydantic checks them."""
        return _pairs(value, self.role)


def number_per_name(role: str) -> NumberPerName:
    """As `chosen_per_name`, but a number for each of several names: a dict, or text `name=1,other=0.5`."""
    return NumberPerName(role)


def _pairs(value: object, role: str) -> object:
    """Text `name=value,other=value` as a dict; what is no text is left as it is."""
    return dict(_pair(part, role) for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _pair(text: str, role: str) -> tuple[str, str]:
    name, equals, chosen = text.strip().partition("=")
    if not equals:
        raise OptionError(f"{role} must be name={role}, separated by commas; got {text!r}.")
    return name.strip(), chosen.strip()


def name_and_settings(text: str) -> tuple[str, dict[str, Any]]:
    """From `name` or `name:option=value:...`; a value is JSON where it can be (20, .5 is not, 0.5, true), else text.

    A colon begins a setting only where an option's name and an equals sign follow, so that JSON may hold some.

    Raises `OptionError` for a setting without an equals sign.
    """
    name, *rest = text.strip().split(":", 1)
    settings = _SETTING.split(rest[0]) if rest else []
    for setting in settings:
        if "=" not in setting:
            raise OptionError(
                f"a setting of {name!r} must be option=value; it is {setting!r}. Write {name}:option=value."
            )
    return name, dict(_parsed(setting) for setting in settings)


def _named(value: object) -> tuple[object, dict[str, Any]]:
    """Name and settings of what stands for options: text, or a dict with the name; of anything else it is the name."""
    if isinstance(value, str):
        return name_and_settings(value)
    return (value.get("name"), value) if isinstance(value, dict) else (value, {})


def _parsed(setting: str) -> tuple[str, Any]:
    name, value = setting.split("=", 1)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
