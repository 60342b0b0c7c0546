"""Feature decoder: latent and conditions -> MLP -> the head of a likelihood -> p(x | latent, batch, covariates).

A likelihood over real numbers (Gaussian) is about the transformed values; one over counts or peaks is about the data
itself. Either way `mean` answers on the scale of the data.
"""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.likelihoods.head import Likelihood
from cellwright.nn import transform as transforms
from cellwright.nn.conditions import Conditions
from cellwright.nn.library import at_library
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.precision import float32_on_cpu
from cellwright.nn.transform import Transform

DRAWS = 32


class FeatureDecoder(nn.Module):
    """Without hidden layers the head is a linear map of the latent."""

    def __init__(
        self, schema: Schema, n_latent: int, *, likelihood: Likelihood, hidden: Hidden, transform: Transform
    ) -> None:
        super().__init__()
        self.conditions = Conditions(schema)
        n_in = n_latent + self.conditions.width
        self.trunk = MLP(n_in, hidden) if hidden.n_layers else nn.Identity()
        self.head = likelihood.head(hidden.n_hidden if hidden.n_layers else n_in, schema.n_vars)
        self.over_transformed = likelihood.support is Support.real
        self.transform: Transform = transform if self.over_transformed else "none"

    def forward(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_hidden"]:
        with float32_on_cpu(latent.device):
            return self.trunk(torch.cat([latent, self.conditions(minibatch)], dim=1))

    def log_prob(
        self,
        latent: Float[Tensor, "n_obs n_latent"],
        minibatch: Minibatch,
        where: Bool[Tensor, "n_obs n_vars"] | None = None,
    ) -> Float[Tensor, " n_obs"]:
        """log p(x | latent) in nats per cell, over the features in `where` if it is given."""
        x = transforms.apply(self.transform, minibatch.x)
        return self.head.log_prob(self(latent, minibatch), x, minibatch.library, where)

    def mean(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        """E[x | latent] on the scale of the data."""
        return self.mean_at(latent, minibatch, minibatch.library)

    def mean_at(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        """E[x | latent] of cells with another library than the minibatch's."""
        return transforms.invert(self.transform, self.head.mean(self(latent, minibatch), library), library)

    def transformed_mean(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        """E[transformed x | latent], of a likelihood over transformed values."""
        assert self.over_transformed, "a likelihood over the data themselves has no mean of transformed values"
        return self.head.mean(self(latent, minibatch), minibatch.library)

    def mean_given(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        """What is expected of a second measurement of these cells, on the scale of the data (see `Head.mean_given`)."""
        x = transforms.apply(self.transform, minibatch.x)
        return self._second(self.head.mean_given(self(latent, minibatch), x, minibatch.library), minibatch)

    def draw_given(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch, generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """One draw of what `mean_given` is the mean of, given the latent (see `Head.draw_given`)."""
        x = transforms.apply(self.transform, minibatch.x)
        return self._second(self.head.draw_given(self(latent, minibatch), x, minibatch.library, generator), minibatch)

    def draw_counts_given(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch, generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """A second measurement as it could be, of a likelihood of counts (see `Head.draw_counts_given`)."""
        return self.head.draw_counts_given(self(latent, minibatch), minibatch.x, minibatch.library, generator)

    def _second(self, means: Tensor, minibatch: Minibatch) -> Tensor:
        """On the scale of the data; means of logarithms say too little of counts, so these are scaled to the library.

        By Jensen's inequality exp(E log) is below E, and the more so the more a feature varies.
        """
        means = transforms.invert(self.transform, means, minibatch.library)
        return means if self.transform == "none" else at_library(means, minibatch.library)

    def sample(
        self,
        latent: Float[Tensor, "n_obs n_latent"],
        minibatch: Minibatch,
        library: Float[Tensor, "n_obs 1"],
        generator: Generator,
    ) -> Float[Tensor, "n_obs n_vars"]:
        """One draw from p(x | latent) per cell, on the scale of the data, for cells of the given library."""
        return transforms.invert(self.transform, self.head.sample(self(latent, minibatch), library, generator), library)

    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        """E[log(1 + 10,000 x / library) | latent].

        For counts and peaks it is the mean over `DRAWS` draws, the same at every call, whose noise adds 1 / `DRAWS` of
        the values' own variance; a likelihood over transformed values gives the logarithm of its mean.
        """
        if self.over_transformed:
            return transforms.log_normalised(self.mean(latent, minibatch), minibatch.library)
        h, library = self(latent, minibatch), minibatch.library
        generator = torch.Generator(latent.device).manual_seed(0)
        draws = (self.head.sample(h, library, generator) for _ in range(DRAWS))
        return torch.stack([transforms.log_normalised(draw, library) for draw in draws]).mean(dim=0)
