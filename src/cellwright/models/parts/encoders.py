"""Encoders by name. To add one: its file, its line in `ENCODERS`."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cellwright.errors import OptionError, did_you_mean
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoder import EncoderOptions
from cellwright.models.parts.graph_encoder import GraphEncoder
from cellwright.models.parts.token_encoder import TokenEncoder

ENCODERS: dict[str, type[EncoderOptions]] = {
    "mlp": MLPEncoder,
    "graph": GraphEncoder,
    "tokens": TokenEncoder,
}


def _encoder_of(value: object) -> EncoderOptions:
    if isinstance(value, EncoderOptions):
        return value
    options = dict(value) if isinstance(value, dict) else {"name": value}
    name = options.get("name")
    if not isinstance(name, str) or name not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise OptionError(f"encoder must be one of {known}; it is {name!r}.{did_you_mean(str(name), ENCODERS)}")
    return ENCODERS[name](**options)


# an option of a model: an encoder's options, the same as a dict with its "name", or the bare name; its JSON is the dict
AnyEncoder = Annotated[SerializeAsAny[EncoderOptions], BeforeValidator(_encoder_of)]
