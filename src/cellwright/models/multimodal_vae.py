"""Multimodal variational autoencoder: one latent for cells on which several modalities, or some of them, were measured.

    x_m (n_obs, n_features_m) -encoder_m-> N(mean, variance) of each modality -fusion-> q(z | x) -sample-> z
    z, batch -decoder_m-> log p(x_m | z, batch) of each modality that the cell has, each with its own likelihood

The loss is -sum over measured modalities of w_m E_q[log p(x_m | z, batch)] + beta KL(q(z | x) || N(0, I)), in nats per
cell: the negative ELBO where the weights w_m are 1 (`modality_weights`). A weight below 1 makes a modality quieter,
such as one of many features that says little of the kinds of cells; whether that helps has to be tried
(docs/multimodal.md). Cells that lack a modality are used, not dropped: they have fewer experts and fewer terms. In a
share of the steps (`modality_dropout`) a cell is encoded from a single one of its modalities and has to give back all
of them: so one modality is enough for a cell on which the others were not measured. A modality that is asked for
(`translate`) is decoded from the others; its library, which is unknown, is predicted from the latent. In a batch in
which it was never measured it is what it would be in the average of the batches where it was.
Differs from [Wu18] in the conditions, count likelihoods and steps of a single modality in the place of sums over
subsets; from [Gayoso21] in one encoder per modality, so that any may be absent; from [Shi19] in the number of samples.

References: [Wu18] product of experts; [Shi19] mixture of experts; [Lopez18] count likelihood; [Gayoso21] proteins
beside RNA; [Kingma14]; [Kingma15] Adam; [Riedmiller93] for theta.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field, model_validator
from torch import Generator, Tensor, nn

from cellwright.core.abilities import DrawsModality, Encodes, Translates
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options, number_per_name
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import OptionError, did_you_mean
from cellwright.likelihoods import LikelihoodPerModality
from cellwright.likelihoods.head import Likelihood
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.losses.gaussian_latent import GaussianLatent
from cellwright.models.model import Model
from cellwright.models.parts.fusion import Experts, Fusion, one_of
from cellwright.models.parts.library_of_latent import LibraryOfLatent
from cellwright.models.parts.likelihood_width import fit_width, sample_of
from cellwright.models.parts.modality import AT_LEAST_IN_TRAINING, Measured, ModalityNetwork
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.nn.mlp import Hidden

USUAL_DROPOUT = 0.5  # of modalities
TRANSLATION_DRAWS = 10  # latents that a translation is the mean of
_DROPOUT = 1  # stream of the noise

# a weight for each of several modalities, by name; its JSON is a dict
WeightPerModality = Annotated[
    dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]], BeforeValidator(number_per_name("weight"))
]


class MultimodalVAEOptions(Options):
    """Options of the multimodal VAE."""

    n_latent: int = Field(20, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer, of every modality")
    n_layers: int = Field(1, ge=1, description="hidden layers in each encoder")
    n_decoder_layers: int = Field(1, ge=0, description="hidden layers in each decoder; 0 is a linear decoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoders")
    likelihoods: LikelihoodPerModality = Field(
        {}, description="p(x | z) of modalities that are not counts to be given as negative binomial"
    )
    modality_weights: WeightPerModality = Field(
        {}, description="weight of a modality's reconstruction in the loss, above 0; 1 where none is given"
    )
    fusion: Fusion = Field("product", description="product of experts, or mixture: each modality by itself")
    modality_dropout: float | None = Field(
        None, ge=0, le=1, description="share of the steps in which a product hears one modality of a cell; None is half"
    )
    beta: float = Field(1.0, ge=0, description="weight of the KL after the warm-up")
    kl_warmup_epochs: int = Field(0, ge=0, description="epochs over which the KL weight rises from 0 to beta")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")

    @model_validator(mode="after")
    def _dropout_is_of_a_product(self) -> "MultimodalVAEOptions":
        if self.modality_dropout is not None and self.fusion == "mixture":
            raise OptionError(
                "modality_dropout of MultimodalVAEOptions must be left out for fusion 'mixture', which hears one "
                f"modality in every step; it is {self.modality_dropout}. Leave it out, or use fusion 'product'."
            )
        return self


class MultimodalVAE(Model, Encodes, Translates, DrawsModality):
    """Encodes a cell from whatever was measured on it; decodes every modality."""

    reads = frozenset({"views", "present", "batch", "covariates"})
    reads_several = True
    citations = ("Wu18", "Shi19", "Lopez18", "Gayoso21", "Kingma14", "Kingma15", "Riedmiller93")

    def __init__(self, schema: Schema, options: MultimodalVAEOptions = MultimodalVAEOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: MultimodalVAEOptions = options
        likelihoods = likelihood_of_each(schema, options.likelihoods)
        _refuse_others("modality_weights", options.modality_weights, schema)
        hidden = Hidden(options.n_hidden, options.n_layers)
        self.networks = nn.ModuleList(
            ModalityNetwork(
                schema.of(modality),
                2 * options.n_latent,
                options.n_latent,
                likelihood=likelihood,
                hidden=replace(hidden, dropout=options.dropout),
                decoder_hidden=replace(hidden, n_layers=options.n_decoder_layers),
            )
            for modality, likelihood in likelihoods.items()
        )
        self.libraries = nn.ModuleList(LibraryOfLatent(schema, options.n_latent) for _ in likelihoods)

    @property
    def support(self) -> Support:
        return self.support_in(self.schema.modalities[0])

    def support_in(self, modality: str) -> Support:
        return self._network(modality).likelihood.support

    def _network(self, modality: str) -> ModalityNetwork:
        network = self.networks[self.schema.modalities.index(modality)]
        assert isinstance(network, ModalityNetwork)
        return network

    def _library(self, modality: str) -> LibraryOfLatent:
        library = self.libraries[self.schema.modalities.index(modality)]
        assert isinstance(library, LibraryOfLatent)
        return library

    def _measured(self, minibatch: Minibatch) -> list[Measured]:
        at_least = AT_LEAST_IN_TRAINING if self.training else 1
        return [Measured.of(minibatch, modality, at_least=at_least) for modality in self.schema.modalities]

    def experts(self, minibatch: Minibatch) -> Experts:
        """What each modality by itself says of the latent."""
        measured = self._measured(minibatch)
        encoded = [self._network(m).encode(cells) for m, cells in zip(self.schema.modalities, measured, strict=True)]
        mean, log_variance = torch.stack(encoded, dim=1).chunk(2, dim=2)
        return Experts(mean, log_variance, torch.stack([cells.mask for cells in measured], dim=1))

    def posterior(self, minibatch: Minibatch) -> GaussianLatent:
        """q(z | x) of each cell, from all that was measured on it."""
        return self.experts(minibatch).fused(self.options.fusion)

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The posterior mean; the prior's, zero, for a cell on which nothing was measured."""
        return self.posterior(minibatch).mean

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Warns where no training cell has two modalities: then nothing makes their latents one."""
        n_measured = sum(source.measured(modality)[rows].astype(int) for modality in self.schema.modalities)
        if len(self.schema.modalities) > 1 and not (n_measured > 1).any():
            warnings.warn(
                f"no training cell has two of the modalities {', '.join(self.schema.modalities)}: their latents have "
                "nothing in common. Check that the files call the same cell by the same name, or use aligned_vae.",
                UserWarning,
                stacklevel=2,
            )

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("elbo", self.negative_elbo, trains=self, optimiser=adam)]]

    def negative_elbo(self, minibatch: Minibatch, step: Step) -> Loss:
        """The terms of the negative ELBO, in nats per cell: one of each modality, and the divergence; with weights."""
        experts = self.experts(minibatch)
        q = experts.only(self._heard(experts, minibatch, step)).fused(self.options.fusion)
        z, kl = q.draw(step.noise.normal(minibatch.rows, self.options.n_latent))
        terms = {
            f"reconstruction_{modality}": -self._network(modality).log_prob(z, measured)
            for modality, measured in zip(self.schema.modalities, self._measured(minibatch), strict=True)
        }
        weights = {f"reconstruction_{name}": weight for name, weight in self.options.modality_weights.items()}
        weights["kl"] = self.options.beta * step.warmup(self.options.kl_warmup_epochs)
        return Loss({**terms, "kl": kl}, weights=weights)

    def _heard(self, experts: Experts, minibatch: Minibatch, step: Step) -> Tensor:
        """The modalities that a step encodes each cell from: one of a mixture; of a product one, or all."""
        uniform = step.noise.uniform(minibatch.rows, 2, _DROPOUT)
        one = one_of(experts.present, uniform[:, 0])
        if self.options.fusion == "mixture":
            return one
        share = self.options.modality_dropout
        return torch.where(uniform[:, 1:] < (USUAL_DROPOUT if share is None else share), one, experts.present)

    @torch.no_grad()
    def translate(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """The mean over `TRANSLATION_DRAWS` draws of z from the other modalities."""
        q, known = self._from_others(minibatch, modality)
        total = self._decoded(q.sample(generator), minibatch, modality, None)
        for _ in range(TRANSLATION_DRAWS - 1):  # summed as they come: of many peaks ten are gigabytes
            total += self._decoded(q.sample(generator), minibatch, modality, None)
        return torch.where(known, total / TRANSLATION_DRAWS, torch.nan)

    @torch.no_grad()
    def draw_modality(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """A draw of z from the other modalities, and of p(x | z)."""
        q, known = self._from_others(minibatch, modality)
        return torch.where(known, self._decoded(q.sample(generator), minibatch, modality, generator), torch.nan)

    def _from_others(self, minibatch: Minibatch, modality: str) -> tuple[GaussianLatent, Tensor]:
        """The posterior from all modalities but one, and which cells (n_obs, 1) have another."""
        others = minibatch.without(modality)
        return self.posterior(others), others.present.any(dim=1, keepdim=True)

    def _decoded(self, z: Tensor, minibatch: Minibatch, modality: str, generator: Generator | None) -> Tensor:
        """E[x | z] of a modality at the library that z says, or a draw with the generator."""
        decoder, cells = self._network(modality).decoder, minibatch.of(modality)
        cells = replace(cells, batch=decoder.conditions.known(cells.batch))
        library = self._library(modality)(z, cells)
        if generator is None:
            return decoder.mean_at(z, cells, library)
        return decoder.sample(z, cells, library, generator)

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for modality in self.schema.modalities:
            of_modality = rows[source.measured(modality)[rows]]
            if not len(of_modality):
                continue
            decoder, sample = self._network(modality).decoder, sample_of(of_modality, rng)
            decoder.conditions.met(torch.from_numpy(source.annotation.batch[of_modality]))
            fit_width(decoder, self._latents(source, sample, modality, generator))
            if self.support_in(modality) >= Support.counts:
                self._library(modality).learn(self._latents_of_others(source, sample, modality))

    def _latents(
        self, source: Source, rows: np.ndarray, modality: str, generator: Generator
    ) -> Iterator[tuple[Tensor, Minibatch]]:
        """A draw of z of each cell, and the cells as if this modality were the only one."""
        for minibatch in in_order(source, rows, BLOCK_ROWS):
            yield self.posterior(minibatch).sample(generator), minibatch.of(modality)

    def _latents_of_others(self, source: Source, rows: np.ndarray, modality: str) -> Iterator[tuple[Tensor, Minibatch]]:
        """The posterior mean of each cell, from the other modalities where it has any."""
        for minibatch in in_order(source, rows, BLOCK_ROWS):
            q, known = self._from_others(minibatch, modality)
            yield torch.where(known, q.mean, self.encode(minibatch)), minibatch.of(modality)


def likelihood_of_each(schema: Schema, given: dict[str, Likelihood]) -> dict[str, Likelihood]:
    """The likelihood of each modality, negative binomial where none is given. Raises `OptionError` for another name."""
    _refuse_others("likelihoods", given, schema)
    return {modality: given.get(modality, NegativeBinomial()) for modality in schema.modalities}


def _refuse_others(option: str, given: Mapping[str, object], schema: Schema) -> None:
    """Raises `OptionError` where an option by modality has one that the data lack."""
    for name in given:
        if name not in schema.modalities:
            raise OptionError(
                f"{option} must be of modalities of the data: {', '.join(schema.modalities)}; there is one of "
                f"{name!r}.{did_you_mean(name, schema.modalities)} Name one of them."
            )
