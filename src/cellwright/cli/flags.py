"""Flags: options classes become command-line flags, and flags become options again.

    VAEOptions -> --n-latent INT, --likelihood NAME, ... -> VAEOptions(n_latent=20, ...)

The bounds are checked by the options class, once, with its own sentence.
"""

import csv
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import Group, Parameter
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from cellwright.core.options import ChosenFrom, ChosenPerName, NumberPerName, Options
from cellwright.data.preprocess import PreprocessOptions


class Flags:
    """The flags of one options class.

    `hidden` names are left out, `defaults` stand in the place of the class's own. `optional` flags make no options,
    but None, unless one of them is given.
    """

    def __init__(
        self,
        options: type[Options],
        *,
        group: str,
        hidden: Collection[str] = (),
        defaults: Mapping[str, Any] | None = None,
        optional: bool = False,
    ) -> None:
        self.options = options
        self.defaults = dict(defaults or {})
        self.fields = {name: field for name, field in options.model_fields.items() if name not in hidden}
        self.group = Group.create_ordered(group)
        self.optional = optional

    def parameters(self) -> list[inspect.Parameter]:
        """Keyword parameters for a command's signature."""
        return [self._parameter(name, field) for name, field in self.fields.items()]

    def make(self, values: dict[str, Any]) -> Options | None:
        """The options of the flags that are given, taken out of `values`."""
        given = {name: values.pop(name) for name in self.fields if name in values}
        if self.optional and not given:
            return None
        lists = {name: _list(text) for name, text in given.items() if _is_list(self.fields[name])}
        return self.options(**{**self.defaults, **given, **lists})

    def _parameter(self, name: str, field: FieldInfo) -> inspect.Parameter:
        text = f"{field.description}{_how_to_write(field)}"
        default = self.defaults.get(name, field.default)
        # where None means "without", the flag is `--no-<name>`
        parameter = Parameter(help=text, group=self.group, negative_none=() if default is None else "no-")
        return inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=shown_default(default),
            annotation=Annotated[flag_type(field), parameter],
        )


def preprocessing_flags() -> Flags:
    """The flags of `PreprocessOptions`; without one of them nothing is filtered. The layer is that of the data."""
    group = "Preprocessing (none without one of these)"
    return Flags(PreprocessOptions, hidden=("layer", "batch_key"), group=group, optional=True)


def with_flags(function: Callable[..., None], **flags: Flags) -> Callable[..., None]:
    """`function` with the flags of each class in its signature; it gets the options objects under the keywords."""
    own = [p for p in inspect.signature(function).parameters.values() if p.name not in flags]

    def command(*arguments: Any, **values: Any) -> None:
        made = {keyword: flag.make(values) for keyword, flag in flags.items()}
        function(*arguments, **values, **made)

    generated = [parameter for flag in flags.values() for parameter in flag.parameters()]
    command.__signature__ = inspect.Signature([*own, *generated])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *generated]}
    command.__doc__, command.__name__ = function.__doc__, function.__name__
    return command


def flag_type(field: FieldInfo) -> Any:
    """What a flag takes: text for a list, for what is by name or chosen by it (`over:by=batch`), else what it takes."""
    return str if _names(field) or _is_list(field) or _is_per_name(field) else field.annotation


def allowed(field: FieldInfo) -> str:
    """Bounds or choices of an option, in words; empty where its type says it all."""
    choices = [*_names(field), *(str(choice) for kind in _kinds(flag_type(field)) for choice in get_args(kind))]
    signs = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}
    bounds = [
        f"{sign} {getattr(bound, attribute)}"
        for kind, (sign, attribute) in signs.items()
        for bound in field.metadata
        if isinstance(bound, kind)
    ]
    return ", ".join(choices + bounds)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; what is none is its own."""
    is_union = get_origin(annotation) is not None and get_origin(annotation) is not Literal
    return get_args(annotation) if is_union else (annotation,)


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _is_per_name(field: FieldInfo) -> bool:
    return any(isinstance(made, NumberPerName) for made in _made_by(field))


def _names(field: FieldInfo) -> list[str]:
    """What it is chosen from, if it is chosen by name among options of their own (see `chosen_from`)."""
    choices = [made.choice if isinstance(made, ChosenPerName) else made for made in _made_by(field)]
    return [name for choice in choices if isinstance(choice, ChosenFrom) for name in choice.table]


def _made_by(field: FieldInfo) -> list[Any]:
    return [validator.func for validator in field.metadata if isinstance(validator, BeforeValidator)]


def _how_to_write(field: FieldInfo) -> str:
    if any(isinstance(made, ChosenPerName) for made in _made_by(field)):
        return f": MODALITY=NAME, separated by commas; names are {', '.join(_names(field))}"
    if _is_per_name(field):
        return ": MODALITY=NUMBER, separated by commas"
    if names := _names(field):
        return f": {', '.join(names)}; with settings NAME:option=value:..."
    return """, separated by commas (a name with a comma in quotes: '"A, B",C')""" if _is_list(field) else ""


def _list(text: str) -> tuple[str, ...]:
    parts = next(csv.reader([text], skipinitialspace=True), [])
    return tuple(part.strip() for part in parts if part.strip())


def shown_default(default: Any) -> Any:
    """A default as help and tables show it: its name of what is chosen by one, of a list text with commas."""
    if isinstance(default, Options):
        return dict(default)["name"]
    if isinstance(default, Mapping):
        return ",".join(f"{name}={shown_default(chosen)}" for name, chosen in default.items())
    return ",".join(default) if isinstance(default, tuple) else default
