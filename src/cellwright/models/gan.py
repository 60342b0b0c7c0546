"""Generative adversarial network: cells of a wanted label, batch and condition, from noise.

    noise (n_obs, n_noise), told (n_obs, n_told) -generator-> deviation from the mean of the kind (n_obs, n_vars)
        counts: library * softmax(log mean share + deviation) * noise of the feature = rate -Poisson-> x (n_obs, n_vars)
        values: mean + deviation + noise of the feature = transformed values (n_obs, n_vars)
    transformed values, real or generated, told -critic-> score (n_obs,)

Told are the label, the condition, the batch, covariates and the log library. A kind is a label under a condition, a
label alone where the data have no conditions. The critic's loss is the Wasserstein gap between the scores of real and
generated cells and a penalty on its slope; the generator's is minus the score of its cells.

The generator gives rates, and the critic is shown counts drawn with them: log-normalised counts lie on a lattice of
their own for each library, which a critic sees at once in cells whose values are continuous (a classifier told 99 % of
those from real ones). The gradient passes the draw as `nn/poisson_draw.py` says. The generator starts from the means of
the kinds, that is, from independent features, and learns what goes together through the noise that they share. The
critic learns faster [Heusel17], because the generator would run away from the means while it still knows nothing.
Without labels it starts from the mean of all cells and has further to go: at the default rates and epochs the rarest
kinds of cells are missing then; five times the rate of the generator, twice that of the critic and more epochs help.
Differs from [Marouf20], which generates continuous values scaled to a library, and from [Gulrajani17] in fewer steps of
the critic for one of the generator.

References: [Goodfellow14] GAN; [Gulrajani17] gradient penalty; [Mirza14] conditional; [Marouf20] of cells; [Heusel17]
two rates; [Kingma15] Adam.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.func import functional_call

from cellwright.core.abilities import Generates, Wanted
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.losses.adversarial import gradient_penalty, wasserstein_gap
from cellwright.models.model import Model
from cellwright.models.parts.kinds import kind_of, n_kinds, one_hot, pooled
from cellwright.models.parts.population import Population
from cellwright.nn import transform as transforms
from cellwright.nn.conditions import Conditions
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.poisson_draw import poisson, transformed_counts
from cellwright.nn.transform import Transform, support_of

# of the momentum there is little, because a critic's gradients change with what it judges [Gulrajani17, algorithm 1]
_BETA_1, _BETA_2 = 0.0, 0.9
_START = 0.1  # of the deviations, against those that random weights would give
_START_SD = 0.3  # of the noise of a feature
_STREAMS = 3  # kinds of noise in a draw
_FOR_CRITIC, _FOR_GENERATOR, _BETWEEN = 0, _STREAMS, 2 * _STREAMS  # first streams


class GANOptions(Options):
    """Options of the GAN."""

    n_noise: int = Field(32, ge=1, description="width of the noise that the features of a cell share")
    n_hidden: int = Field(256, ge=1, description="width of each hidden layer of generator and critic")
    n_layers: int = Field(2, ge=1, description="hidden layers of each")
    output: Literal["counts", "values"] = Field(
        "counts", description="what is generated: counts, or values on the scale of the transform"
    )
    transform: Transform = Field("log_normalise", description="of the values before the critic")
    penalty: float = Field(10.0, ge=0, description="weight of the penalty on the slope of the critic")
    critic_steps: int = Field(2, ge=1, description="steps of the critic for one of the generator")
    learning_rate: float = Field(1e-4, gt=0, description="step size of Adam for the generator")
    critic_learning_rate: float = Field(1e-3, gt=0, description="step size of Adam for the critic")


@dataclass(frozen=True, eq=False)
class Draw:
    """The random numbers of cells: noise that the features share, noise of each, and uniform ones for counts."""

    shared: Float[Tensor, "n_obs n_noise"]
    own: Float[Tensor, "n_obs n_vars"]
    uniform: Float[Tensor, "n_obs n_vars"]


class GAN(Model, Generates):
    """A generator of cells, and the critic that taught it."""

    reads = frozenset({"views", "label", "batch", "condition", "covariates"})
    validates_on = None  # the losses of adversaries say who is ahead, not how good the cells are
    usual_epochs = 40
    citations = ("Goodfellow14", "Gulrajani17", "Mirza14", "Marouf20", "Heusel17", "Kingma15")
    mean: Tensor
    log_library_mean: Tensor
    log_library_sd: Tensor

    def __init__(self, schema: Schema, options: GANOptions = GANOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: GANOptions = options
        self.conditions = Conditions(schema)
        n_told = schema.n_labels + schema.n_conditions + self.conditions.width + 1
        self.generator = _Generator(options.n_noise + n_told, schema.n_vars, options)
        self.critic = _Critic(schema.n_vars + n_told, options)
        self.population = Population(schema)
        # log shares, or values; the last row is of all cells together, for cells without a label
        self.register_buffer("mean", torch.zeros(n_kinds(schema), schema.n_vars))
        self.register_buffer("log_library_mean", torch.zeros(()))
        self.register_buffer("log_library_sd", torch.ones(()))

    @property
    def support(self) -> Support:
        return Support.counts if self._counts else support_of(self.options.transform)

    @property
    def _counts(self) -> bool:
        return self.options.output == "counts"

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """The means of each kind, drawn towards that of all cells by one mean cell; and the scale of the library."""
        totals = torch.zeros(n_kinds(self.schema), self.schema.n_vars, dtype=torch.float64)
        weights = torch.zeros(n_kinds(self.schema), 1, dtype=torch.float64)
        log_libraries = []
        for minibatch in in_order(source, rows):
            x = minibatch.x if self._counts else transforms.apply(self.options.transform, minibatch.x)
            weight = minibatch.library if self._counts else torch.ones_like(minibatch.library)
            kind = kind_of(self.schema, minibatch.label, minibatch.condition)
            totals.index_add_(0, kind, x.dense().double())
            weights.index_add_(0, kind, weight.double())
            log_libraries.append(self._log(minibatch.library))
        totals, weights = pooled(self.schema, totals), pooled(self.schema, weights)
        # a feature without a count has the logarithm of a share, too
        overall = (totals[-1] + (1 / len(rows) if self._counts else 0)) / weights[-1]
        one_cell = weights[-1] / len(rows)
        mean = (totals + one_cell * overall) / (weights + one_cell)
        mean[-1] = overall
        self.mean.copy_(mean.log() if self._counts else mean)
        log_library = torch.cat(log_libraries)
        self.log_library_mean.copy_(log_library.mean())
        self.log_library_sd.copy_(log_library.std(correction=0).clamp(min=1e-3))

    def _log(self, library: Float[Tensor, "n_obs 1"]) -> Float[Tensor, "n_obs 1"]:
        # the total of values that may be negative means nothing
        return torch.zeros_like(library) if self.support is Support.real else torch.log1p(library)

    def stages(self) -> list[list[Objective]]:
        slow, fast = (
            AdamOptions(learning_rate=rate, beta_1=_BETA_1, beta_2=_BETA_2)
            for rate in (self.options.learning_rate, self.options.critic_learning_rate)
        )
        every = self.options.critic_steps
        return [
            [
                Objective("critic", self.critic_loss, trains=self.critic, optimiser=fast),
                Objective("generator", self.generator_loss, trains=self.generator, optimiser=slow, every=every),
            ]
        ]

    def critic_loss(self, minibatch: Minibatch, step: Step) -> Loss:
        """Scores of generated minus real cells, each pair of the same label, batch and library; the penalty."""
        told, real = self._told(minibatch, minibatch.library), self._real(minibatch)
        with torch.no_grad():
            made = self._seen(minibatch, minibatch.library, told, self._draw(minibatch, step, _FOR_CRITIC))
        share = step.noise.uniform(minibatch.rows, 1, stream=_BETWEEN)
        gap = wasserstein_gap(self.critic(real, told), self.critic(made, told))
        penalty = gradient_penalty(lambda values: self.critic(values, told), real, made, share)
        return Loss({"gap": gap, "penalty": penalty}, weights={"penalty": self.options.penalty})

    def generator_loss(self, minibatch: Minibatch, step: Step) -> Loss:
        """Minus the critic's score of cells with the labels, batches and libraries of these."""
        told = self._told(minibatch, minibatch.library)
        made = self._seen(minibatch, minibatch.library, told, self._draw(minibatch, step, _FOR_GENERATOR))
        # the critic's own gradients would be thrown away, and cost as much as the generator's
        fixed = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        return Loss({"score": -functional_call(self.critic, fixed, (made, told))})

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.population.learn(source, rows, rng)

    @property
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch_and_none n_conditions_and_none"]:
        return self.population.kind_counts

    @torch.no_grad()
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        cells, library = self.population.draw(wanted, generator)
        device, n_vars = library.device, self.schema.n_vars
        draw = Draw(
            shared=torch.randn(cells.n_obs, self.options.n_noise, generator=generator, device=device),
            own=torch.randn(cells.n_obs, n_vars, generator=generator, device=device),
            # zero would be a count of zero, one a count without end
            uniform=torch.rand(cells.n_obs, n_vars, generator=generator, device=device).clamp(1e-7, 1 - 1e-7),
        )
        deviation = self.generator(draw.shared, self._told(cells, library))
        if self._counts:
            return poisson(self._rate(cells, library, deviation, draw), draw.uniform)
        return transforms.invert(self.options.transform, self._value(cells, deviation, draw), library)

    def _draw(self, minibatch: Minibatch, step: Step, first: int) -> Draw:
        rows, n_vars, noise = minibatch.rows, self.schema.n_vars, step.noise
        return Draw(
            shared=noise.normal(rows, self.options.n_noise, stream=first),
            own=noise.normal(rows, n_vars, stream=first + 1),
            uniform=noise.uniform(rows, n_vars, stream=first + 2),
        )

    def _told(self, minibatch: Minibatch, library: Float[Tensor, "n_obs 1"]) -> Float[Tensor, "n_obs n_told"]:
        """What generator and critic are told of each cell."""
        label = one_hot(minibatch.label, self.schema.n_labels)
        condition = one_hot(minibatch.condition, self.schema.n_conditions)
        log_library = (self._log(library) - self.log_library_mean) / self.log_library_sd
        return torch.cat([label, condition, self.conditions(minibatch), log_library], dim=1)

    def _real(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return transforms.apply(self.options.transform, minibatch.x).dense()

    def _seen(
        self,
        minibatch: Minibatch,
        library: Float[Tensor, "n_obs 1"],
        told: Float[Tensor, "n_obs n_told"],
        draw: Draw,
    ) -> Float[Tensor, "n_obs n_vars"]:
        """Generated cells as the critic sees them."""
        deviation = self.generator(draw.shared, told)
        if not self._counts:
            return self._value(minibatch, deviation, draw)
        rate = self._rate(minibatch, library, deviation, draw)
        return transformed_counts(self.options.transform, poisson(rate, draw.uniform), rate)

    def _rate(
        self,
        minibatch: Minibatch,
        library: Float[Tensor, "n_obs 1"],
        deviation: Float[Tensor, "n_obs n_vars"],
        draw: Draw,
    ) -> Float[Tensor, "n_obs n_vars"]:
        """What the counts are expected to be; the noise of a feature is log-normal, with a mean of one."""
        sd = self.generator.log_sd.exp()
        own = sd * draw.own - sd.square() / 2
        return library * torch.softmax(self._mean(minibatch) + deviation, dim=1) * own.exp()

    def _mean(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return self.mean[kind_of(self.schema, minibatch.label, minibatch.condition)]

    def _value(
        self, minibatch: Minibatch, deviation: Float[Tensor, "n_obs n_vars"], draw: Draw
    ) -> Float[Tensor, "n_obs n_vars"]:
        value = self._mean(minibatch) + deviation + self.generator.log_sd.exp() * draw.own
        return value if self.support is Support.real else value.clamp(min=0)


class _Generator(nn.Module):
    """Noise and what is told -> deviations from the mean; and the standard deviation of each feature's own noise."""

    def __init__(self, n_in: int, n_vars: int, options: GANOptions) -> None:
        super().__init__()
        self.trunk = MLP(n_in, Hidden(options.n_hidden, options.n_layers, normalisation="layer"))
        self.out = nn.Linear(options.n_hidden, n_vars)
        with torch.no_grad():
            self.out.weight.mul_(_START)
            self.out.bias.zero_()
        self.log_sd = nn.Parameter(torch.full((n_vars,), float(np.log(_START_SD))))

    def forward(
        self, noise: Float[Tensor, "n_obs n_noise"], told: Float[Tensor, "n_obs n_told"]
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.out(self.trunk(torch.cat([noise, told], dim=1)))


class _Critic(nn.Module):
    """Plain layers: its slope is differentiated again, and may depend on no other cell."""

    def __init__(self, n_in: int, options: GANOptions) -> None:
        super().__init__()
        hidden = Hidden(options.n_hidden, options.n_layers, activation="leaky_relu", normalisation="none")
        self.trunk = MLP(n_in, hidden)
        self.out = nn.Linear(options.n_hidden, 1)

    def forward(
        self, values: Float[Tensor, "n_obs n_vars"], told: Float[Tensor, "n_obs n_told"]
    ) -> Float[Tensor, " n_obs"]:
        return self.out(self.trunk(torch.cat([values, told], dim=1)))[:, 0]
