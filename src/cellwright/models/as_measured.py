"""As measured: gives every value back. The floor of every comparison of imputations.

    x (n_obs, n_vars) -> x

A zero stays a zero, so nothing is invented, and nothing is filled in.
"""

from jaxtyping import Float
from torch import Generator, Tensor

from cellwright.core.abilities import Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.models.model import Model


class AsMeasuredOptions(Options):
    """It has none."""


class AsMeasured(Model, Imputes):
    """Expects of a second measurement what the first one gave."""

    is_baseline = True
    citations = ("Batson19",)  # no change as the floor of denoising

    @property
    def support(self) -> Support:
        return Support.real

    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return minibatch.x.dense()
