"""Encoders by name. To add one: its file, its line in `ENCODERS`."""

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from cellwright.core.options import chosen_from
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoder import EncoderOptions
from cellwright.models.parts.graph_encoder import GraphEncoder
from cellwright.models.parts.token_encoder import TokenEncoder

ENCODERS: dict[str, type[EncoderOptions]] = {
    "mlp": MLPEncoder,
    "graph": GraphEncoder,
    "tokens": TokenEncoder,
}

# an option of a model: an encoder's options, the same as a dict with its "name", or the bare name; its JSON is the dict
AnyEncoder = Annotated[SerializeAsAny[EncoderOptions], BeforeValidator(chosen_from(ENCODERS, "encoder"))]
