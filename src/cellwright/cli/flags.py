"""Flags: options classes become command-line flags, and flags become options again.

    VAEOptions -> --n-latent INT, --likelihood NAME, ... -> VAEOptions(n_latent=20, ...)

The bounds are checked by the options class, once, with its own sentence.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic.fields import FieldInfo

from cellwright.core.options import Options
from cellwright.likelihoods import LIKELIHOODS
from cellwright.likelihoods.head import Likelihood


class Flags:
    """The flags of one options class; `hidden` names are left out, `defaults` stand in the place of the class's own."""

    def __init__(
        self,
        options: type[Options],
        *,
        hidden: Collection[str] = (),
        defaults: Mapping[str, Any] | None = None,
        group: str = "Options",
    ) -> None:
        self.options = options
        self.defaults = dict(defaults or {})
        self.fields = {name: field for name, field in options.model_fields.items() if name not in hidden}
        self.group = Group.create_ordered(group)

    def parameters(self) -> list[inspect.Parameter]:
        """Keyword parameters for a command's signature."""
        return [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_shown(self.defaults.get(name, field.default)),
                annotation=Annotated[_flag_type(field), Parameter(help=field.description, group=self.group)],
            )
            for name, field in self.fields.items()
        ]

    def pick(self, values: dict[str, Any]) -> dict[str, Any]:
        """Take this class's flags out of `values`, as the options class wants them."""
        mine = {name: values.pop(name) for name in self.fields if name in values}
        return {n: _list(v) if _is_list(self.fields[n]) and isinstance(v, str) else v for n, v in mine.items()}

    def make(self, values: dict[str, Any]) -> Options:
        """The options of the flags, taken out of `values`."""
        return self.options(**{**self.defaults, **self.pick(values)})


def with_flags(function: Callable[..., Any], **flags: Flags) -> Callable[..., Any]:
    """`function` with the flags of each class in its signature; it is given the options objects under the keywords."""
    own = [p for p in inspect.signature(function).parameters.values() if p.name not in flags]

    def command(*arguments: Any, **values: Any) -> Any:
        made = {keyword: flag.make(values) for keyword, flag in flags.items()}
        return function(*arguments, **values, **made)

    generated = [parameter for flag in flags.values() for parameter in flag.parameters()]
    command.__signature__ = inspect.Signature([*own, *generated])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *generated]}
    command.__doc__, command.__name__ = function.__doc__, function.__name__
    return command


def _flag_type(field: FieldInfo) -> Any:
    if _is_likelihood(field):
        return Literal[tuple(LIKELIHOODS)]
    return str if _is_list(field) else field.annotation


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _is_likelihood(field: FieldInfo) -> bool:
    kinds = get_args(field.annotation) if get_origin(field.annotation) is Union else (field.annotation,)
    return isinstance(field.default, Likelihood) or any(
        isinstance(k, type) and issubclass(k, Likelihood) for k in kinds
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _shown(default: Any) -> Any:
    if isinstance(default, Likelihood):
        return default.name
    return ",".join(default) if isinstance(default, tuple) else default
