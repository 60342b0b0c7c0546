"""Latent diffusion: a variational autoencoder, then a denoiser of its latent; generates and imputes cells.

    stage 1: x (n_obs, n_vars) -VAE-> z (n_obs, n_latent), standardised
    stage 2: z_t = alpha(t) z + sigma(t) epsilon -denoiser(t, told)-> epsilon or v
    generate: noise -a few deterministic steps-> z -decoder-> counts of a library that a training cell lends
    impute: z of the cell -a little noise-> z_t -steps, each drawn towards what was measured-> z -decoder-> means

Told are the label, the condition, the batch, covariates and the library.
Beside both stages the likelihood's own numbers per feature are trained with a step size of their own: with a theta that
is too small, cells drawn even from the posterior of real cells are told from real ones in seven of eight cases.
In a share of the training the label is not told, so that one network knows both p(z | label) and p(z); in generation
`guidance` g gives unlabelled + g (labelled - unlabelled): 0 ignores the label, 1 is its distribution, more sharpens it.
Differs from [Rombach22] in the network, an MLP, and in that it is told the library, which a latent of counts knows of;
from [Ho22] in the name of the weight (their w is guidance - 1); and from [Luo24] in that counts are drawn.

References: [Ho20] denoising diffusion; [Rombach22] on a latent; [Nichol21] schedule; [Salimans22] v; [Song21] DDIM;
[Ho22] guidance without a classifier; [Chung23] estimates drawn towards a measurement; [Luo24] scDiffusion.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn

from cellwright.core.abilities import Draws, Generates, Imputes, Wanted
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import OptionError
from cellwright.likelihoods import AnyLikelihood
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.denoiser import Denoiser
from cellwright.models.parts.encoders import AnyEncoder
from cellwright.models.parts.population import Population
from cellwright.models.vae import VAE, VAEOptions
from cellwright.nn import schedule
from cellwright.nn import transform as transforms
from cellwright.nn.frozen import frozen
from cellwright.nn.schedule import Prediction
from cellwright.nn.transform import Transform

N_LEVELS = 4  # noise levels per cell and step, one in each quarter of the time: the loss of one alone is mostly chance
WIDTH_LEARNING_RATE = 0.05  # of what the likelihood holds per feature
FROM, DRAWS = 0.35, 8  # of an imputation: the time that a cell is taken to, and how often

# options that the weights of a pretrained run depend on
VAE_SIZES = ("n_latent", "n_hidden", "n_layers", "n_decoder_layers", "transform", "likelihood", "encoder")

_LATENT, _TIME, _NOISE, _DROP = range(4)  # streams of the noise


class DiffusionOptions(Options):
    """Options of latent diffusion; those up to `beta` are the autoencoder's."""

    n_latent: int = Field(20, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer of the autoencoder")
    n_layers: int = Field(1, ge=1, description="hidden layers in its encoder")
    n_decoder_layers: int = Field(1, ge=0, description="hidden layers in its decoder; 0 is a linear decoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in its encoder")
    transform: Transform = Field("log1p", description="of the values before its encoder")
    likelihood: AnyLikelihood = Field(NegativeBinomial(), description="p(x | z)")
    encoder: AnyEncoder = Field(MLPEncoder(), description="what reads a cell: an MLP, or an encoder of another family")
    beta: float = Field(0.5, ge=0, description="weight of its KL")
    pretrained: str | None = Field(
        None, description="run folder of a fitted vae with these sizes, to be used instead of training one"
    )
    prediction: Prediction = Field("v", description="what the denoiser predicts")
    n_denoiser_hidden: int = Field(256, ge=1, description="width of the denoiser")
    n_denoiser_layers: int = Field(3, ge=1, description="residual blocks of the denoiser")
    label_dropout: float = Field(0.1, ge=0, le=1, description="share of the training in which the label is not told")
    guidance: float = Field(1.0, ge=0, description="in generation: 0 ignores the label, 1 follows it, more sharpens it")
    n_steps: int = Field(50, ge=1, description="steps from noise to a cell")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam, in both stages, but for theta")
    denoiser_weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of the denoiser")

    @property
    def vae(self) -> VAEOptions:
        """The autoencoder's."""
        shared = set(VAEOptions.model_fields) & set(DiffusionOptions.model_fields)
        return VAEOptions(**{name: getattr(self, name) for name in shared})


class Told(NamedTuple):
    """What the denoiser is told of cells, with and without the label, and how much the label is followed."""

    labelled: Float[Tensor, "n_obs n_hidden"]
    unlabelled: Float[Tensor, "n_obs n_hidden"]
    guidance: float


class Measured(NamedTuple):
    """Cells, and how wide the encoder takes their standardised latents to be."""

    cells: Minibatch
    variance: Float[Tensor, "n_obs n_latent"]


class Diffusion(Model, Generates, Imputes, Draws):
    """A distribution over the latent of a VAE, by label."""

    reads = frozenset({"views", "batch", "covariates", "label", "condition", "coordinates"})
    citations = (
        "Ho20",
        "Rombach22",
        "Nichol21",
        "Salimans22",
        "Song21",
        "Ho22",
        "Chung23",
        "Luo24",
        "Kingma14",
        "Lopez18",
    )

    def __init__(self, schema: Schema, options: DiffusionOptions = DiffusionOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: DiffusionOptions = options
        self.vae = VAE(schema, options.vae)
        self.denoiser = Denoiser(
            schema, options.n_latent, n_hidden=options.n_denoiser_hidden, n_layers=options.n_denoiser_layers
        )
        self.population = Population(schema)
        self.latent_mean: Tensor
        self.latent_sd: Tensor
        self.log_library_mean: Tensor
        self.log_library_sd: Tensor
        for name, size in (("latent", options.n_latent), ("log_library", 1)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_sd", torch.ones(size))

    @property
    def support(self) -> Support:
        return self.vae.support

    @property
    def pretrained(self) -> str | None:
        return self.options.pretrained

    def take(self, other: Model) -> None:
        if not isinstance(other, VAE):
            raise OptionError(f"pretrained of DiffusionOptions must be the run of a vae; it is one of {other.name}.")
        if other.schema.features != self.schema.features:
            raise OptionError(
                f"pretrained of DiffusionOptions must be a run on the same {self.schema.n_vars} features in the same "
                f"order; it was fitted on others ({other.schema.n_vars}). Fit a vae on these data."
            )
        for part in ("batch", "covariates"):
            ours, theirs = getattr(self.schema, part), getattr(other.schema, part)
            if ours != theirs:
                raise OptionError(
                    f"pretrained of DiffusionOptions must be a run with the same {part}; here it is {ours}, there "
                    f"{theirs}. Fit a vae on these data."
                )
        for name in VAE_SIZES:
            ours, theirs = getattr(self.options, name), getattr(other.options, name)
            if ours != theirs:
                raise OptionError(
                    f"{name} of DiffusionOptions must be that of the pretrained run; it is {ours!r} here and "
                    f"{theirs!r} there. Give the same."
                )
        # not what it learnt of labels and conditions, which may be others there
        for part in ("encoder", "decoder"):
            getattr(self.vae, part).load_state_dict(getattr(other, part).state_dict())

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        if stage == len(self.stages()) - 1:
            self._measure(source, rows)
        elif self.pretrained is None:
            self.vae.prepare(stage, source, rows, rng)

    @torch.no_grad()
    def _measure(self, source: Source, rows: np.ndarray) -> None:
        """Mean and standard deviation of the latent and of the library over the training cells."""
        means, variances, libraries = [], [], []
        for minibatch in in_order(source, rows):
            q = self.vae.posterior(minibatch.to(self.latent_mean.device))
            means.append(q.mean)
            variances.append(q.variance)
            libraries.append(self._log_library(minibatch.library))
        mean, log_library = torch.cat(means), torch.cat(libraries)
        self.latent_mean.copy_(mean.mean(dim=0))
        self.latent_sd.copy_((mean.var(dim=0, correction=0) + torch.cat(variances).mean(dim=0)).sqrt())
        self.log_library_mean.copy_(log_library.mean(dim=0))
        self.log_library_sd.copy_(log_library.std(dim=0, correction=0).clamp(min=1e-3))

    def _log_library(self, library: Float[Tensor, "n_obs 1"]) -> Float[Tensor, "n_obs 1"]:
        # the total of real values means nothing
        return torch.zeros_like(library) if self.support is Support.real else torch.log1p(library)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.denoiser_weight_decay)
        denoising = Objective("denoising", self.denoising_error, trains=self.denoiser, optimiser=adam)
        trained = [] if self.pretrained else [[*objectives, *self._width()] for objectives in self.vae.stages()]
        return [*trained, [denoising, *self._width()]]

    def _width(self) -> list[Objective]:
        """What the likelihood holds per feature (theta of a negative binomial), by steps of its own size, to the end.

        By the autoencoder's steps it would stay near where it started until early stopping: the latent hardly needs
        it, drawn counts do.
        """
        width = nn.ParameterList(self.vae.decoder.head.parameters(recurse=False))
        adam = AdamOptions(learning_rate=WIDTH_LEARNING_RATE)
        return [Objective("width", self.reconstruction, trains=width, optimiser=adam)] if len(width) else []

    def reconstruction(self, minibatch: Minibatch, step: Step) -> Loss:
        """-log p(x | z) in nats per cell, the autoencoder fixed but for its likelihood."""
        decoder = self.vae.decoder
        with frozen(self.vae):
            h = decoder(self._drawn(minibatch, step), minibatch)
        x = transforms.apply(decoder.transform, minibatch.x)
        return Loss({"reconstruction": -decoder.head.log_prob(h, x, minibatch.library)})

    def _drawn(self, minibatch: Minibatch, step: Step) -> Float[Tensor, "n_obs n_latent"]:
        """A latent of each cell from its posterior."""
        noise = step.noise.normal(minibatch.rows, self.options.n_latent, stream=_LATENT)
        return self.vae.posterior(minibatch).draw(noise)[0]

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.population.learn(source, rows, rng)

    def denoising_error(self, minibatch: Minibatch, step: Step) -> Loss:
        """The mean squared error over the latent and `N_LEVELS` times; 1 is that of predicting nothing."""
        n_latent, rows, noise = self.options.n_latent, minibatch.rows, step.noise
        with frozen(self.vae):
            x = self._standardise(self._drawn(minibatch, step))
        label = minibatch.label
        if self.training:
            dropped = noise.uniform(rows, 1, stream=_DROP)[:, 0] < self.options.label_dropout
            label = torch.where(dropped, -1, label)
        described = self._describe(minibatch, label, minibatch.library)
        quarter = torch.arange(N_LEVELS, device=x.device)
        t = ((noise.uniform(rows, 1, stream=_TIME) + quarter) / N_LEVELS * schedule.LATEST).reshape(-1)
        epsilon = noise.normal(rows, N_LEVELS * n_latent, stream=_NOISE).reshape(-1, n_latent)
        x, described = (each.repeat_interleave(N_LEVELS, dim=0) for each in (x, described))
        predicted = self.denoiser(schedule.noisy(x, epsilon, t), t, described)
        error = (predicted - schedule.target(self.options.prediction, x, epsilon, t)).square()
        return Loss({"denoising": error.reshape(minibatch.n_obs, -1).mean(dim=1)})

    @property
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch_and_none n_conditions_and_none"]:
        return self.population.kind_counts

    @torch.no_grad()
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        cells, library = self.population.draw(wanted, generator)
        z = self.sample_latent(cells, library, generator)
        return self.vae.decoder.sample(z, cells, library, generator)

    @torch.no_grad()
    def sample_latent(
        self, cells: Minibatch, library: Float[Tensor, "n_obs 1"], generator: Generator
    ) -> Float[Tensor, "n_obs n_latent"]:
        """Latents of new cells with the labels, conditions, batches, covariates and libraries of these."""
        told = self._told(cells, library, self.options.guidance)
        noise = self._normal(cells.n_obs, generator)
        when = schedule.times(schedule.LATEST, self.options.n_steps)
        x = schedule.ddim(lambda x_t, t: self._clean(x_t, t, told), noise, when)
        return x * self.latent_sd + self.latent_mean

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """The means of `DRAWS` latents, given what was measured; of a cell with as many counts as this one has.

        Labels are not used, because they often come from the values themselves.
        """
        latents = self._latents_given(minibatch, DRAWS, generator)
        return torch.stack([self.vae.decoder.mean_given(z, minibatch) for z in latents]).mean(dim=0)

    @torch.no_grad()
    def draw(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """A latent given what was measured, and a draw of the cell's own rates given both."""
        (z,) = self._latents_given(minibatch, 1, generator)
        return self.vae.decoder.draw_given(z, minibatch, generator)

    @torch.no_grad()
    def draw_counts(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        (z,) = self._latents_given(minibatch, 1, generator)
        return self.vae.decoder.draw_counts_given(z, minibatch, generator)

    def _latents_given(
        self, minibatch: Minibatch, n_draws: int, generator: Generator
    ) -> Iterator[Float[Tensor, "n_obs n_latent"]]:
        """Latents that the denoiser holds possible, each step drawn towards what was measured."""
        q = self.vae.posterior(minibatch)
        measured = Measured(minibatch, q.variance / self.latent_sd.square())
        told = self._told(minibatch, minibatch.library, guidance=0.0)
        when = schedule.times(FROM, math.ceil(FROM * self.options.n_steps))
        centre, start = self._standardise(q.mean), torch.full_like(minibatch.library[:, 0], FROM)
        for _ in range(n_draws):
            x_t = schedule.noisy(centre, self._normal(minibatch.n_obs, generator), start)
            x = schedule.ddim(lambda x_t, t: self._towards(self._clean(x_t, t, told), t, measured), x_t, when)
            yield x * self.latent_sd + self.latent_mean

    def _towards(
        self, x: Float[Tensor, "n_obs n_latent"], t: Float[Tensor, " n_obs"], measured: Measured
    ) -> Float[Tensor, "n_obs n_latent"]:
        """An estimate of x moved by one step of Newton's method towards what was measured.

        The estimate is as uncertain as the noise (sigma^2), the measurement as the encoder says; their precisions add.
        """
        precision = 1 / schedule.sigma(t).square()[:, None] + 1 / measured.variance
        return x + self._slope(x, measured.cells) / precision

    def _slope(self, x: Float[Tensor, "n_obs n_latent"], cells: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The gradient of log p(measured values | x) by x."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            log_prob = self.vae.decoder.log_prob(x * self.latent_sd + self.latent_mean, cells)
            (slope,) = torch.autograd.grad(log_prob.sum(), x)
        return slope

    def _normal(self, n_obs: int, generator: Generator) -> Float[Tensor, "n_obs n_latent"]:
        return torch.randn(n_obs, self.options.n_latent, generator=generator, device=self.latent_mean.device)

    def _describe(
        self, minibatch: Minibatch, label: Int[Tensor, " n_obs"], library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_hidden"]:
        log_library = (self._log_library(library) - self.log_library_mean) / self.log_library_sd
        return self.denoiser.describe(minibatch, label, log_library)

    def _told(self, minibatch: Minibatch, library: Float[Tensor, "n_obs 1"], guidance: float) -> Told:
        nothing = torch.full_like(minibatch.label, -1)
        labelled, unlabelled = (self._describe(minibatch, label, library) for label in (minibatch.label, nothing))
        return Told(labelled, unlabelled, guidance)

    def _clean(
        self, x_t: Float[Tensor, "n_obs n_latent"], t: Float[Tensor, " n_obs"], told: Told
    ) -> Float[Tensor, "n_obs n_latent"]:
        """What the denoiser takes the clean latent to be, with guidance."""
        g = told.guidance
        predicted = self.denoiser(x_t, t, told.labelled) if g else self.denoiser(x_t, t, told.unlabelled)
        if g not in (0, 1):
            unlabelled = self.denoiser(x_t, t, told.unlabelled)
            predicted = unlabelled + g * (predicted - unlabelled)
        return schedule.clean(self.options.prediction, predicted, x_t, t)

    def _standardise(self, z: Float[Tensor, "n_obs n_latent"]) -> Float[Tensor, "n_obs n_latent"]:
        return (z - self.latent_mean) / self.latent_sd
