"""Aligned variational autoencoder: one latent for modalities that have no cell in common.

    x_m (n_obs, n_features_m) -encoder_m-> q(z | x_m) -sample-> z (n_obs, n_latent) -decoder_m-> log p(x_m | z, batch)
    z of one modality, z of another -alignment-> one distribution
    z -one network for all modalities-> what the cell's linked features are

Three things decide where a cell lies. Its modality's own decoder must give back its values, in nats per cell. The
latents of the modalities must be one distribution (`parts/alignment.py`): by a critic, by MMD or by the Sinkhorn
divergence. And one network, the same for all modalities, must say of the latent what the linked features of the cell
are (`parts/linked_features.py`), so that a T cell seen by its proteins has the place of a T cell seen by its RNA.
Without links the alignment matches clouds and may turn them: which cluster goes on which, nothing says. Compositions
may differ: with `n_kinds` the alignment counts kinds of cells, found by k-means on linked features, equally often in
all modalities. No pair of cells and no label is looked at.
A cell with several modalities has the product of their posteriors. `modality` is the one that is decoded: by default
the first.
Differs from [Cao22] in the links, which speak of cells' linked features here and of features' embeddings there; from
[Stark20] and [Amodio18] in having links.

References: [Cao22] GLUE; [Kingma14]; [Lopez18]; [Ganin16] and [Tzeng15] critics; [Gretton12] MMD; [Feydy19] Sinkhorn
divergence; [Kingma15] Adam.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from cellwright.core.abilities import Encodes, Translates
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.links import read_links
from cellwright.data.source import Source, in_order
from cellwright.errors import OptionError
from cellwright.likelihoods import LikelihoodPerModality
from cellwright.losses.gaussian_latent import GaussianLatent
from cellwright.models.model import Model
from cellwright.models.multimodal_vae import likelihood_of_each
from cellwright.models.parts.alignment import AdversarialAlignment, AnyAlignment, Critic
from cellwright.models.parts.fusion import Experts
from cellwright.models.parts.kinds_in_common import KindsInCommon, group_of
from cellwright.models.parts.library_of_latent import LibraryOfLatent
from cellwright.models.parts.linked_features import LinkedFeatures, refuse_one_modality
from cellwright.models.parts.modality import AT_LEAST_IN_TRAINING, Measured, ModalityNetwork
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.nn.mlp import MLP, Hidden

_CRITIC = 1  # stream of the noise
WEIGHTED = ("adversarial", "sinkhorn")  # alignments in which a cell may weigh more than another


class AlignedVAEOptions(Options):
    """Options of the aligned VAE."""

    n_latent: int = Field(20, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer, of the critic too")
    n_layers: int = Field(1, ge=1, description="hidden layers in each encoder and decoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoders")
    likelihoods: LikelihoodPerModality = Field(
        {}, description="p(x | z) of modalities that are not counts to be given as negative binomial"
    )
    alignment: AnyAlignment = Field(AdversarialAlignment(), description="what makes the latents one distribution")
    links: str | None = Field(None, description="CSV of feature links: modality_a, feature_a, modality_b, feature_b")
    links_weight: float = Field(100.0, ge=0, description="of the mean squared error of linked features in the loss")
    n_smooth: int = Field(20, ge=0, description="principal components that smooth linked features; 0: as measured")
    panels: tuple[str, ...] = Field(("protein",), description="modalities linked by centred log ratios of their counts")
    n_kinds: int = Field(0, ge=0, description="kinds of cells that the alignment counts equally; 0: it counts cells")
    beta: float = Field(1.0, ge=0, description="weight of the KL")
    alignment_warmup_epochs: int = Field(5, ge=0, description="epochs over which the alignment rises to its weight")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")


class AlignedVAE(Model, Encodes, Translates):
    """Encodes a cell of any modality in one latent; decodes every modality."""

    reads = frozenset({"views", "present", "batch", "covariates"})
    reads_several = True
    validates_on = None  # two adversaries, or a trade-off that grows with the warm-up: no term says when to stop
    usual_epochs = 40
    citations = ("Cao22", "Kingma14", "Lopez18", "Ganin16", "Tzeng15", "Gretton12", "Feydy19", "Kingma15")

    def __init__(self, schema: Schema, options: AlignedVAEOptions = AlignedVAEOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: AlignedVAEOptions = options
        _refuse_kinds(options)
        hidden = Hidden(options.n_hidden, options.n_layers)
        self.likelihoods = likelihood_of_each(schema, options.likelihoods)
        self.networks = nn.ModuleList(
            ModalityNetwork(
                schema.of(modality),
                2 * options.n_latent,
                options.n_latent,
                likelihood=likelihood,
                hidden=replace(hidden, dropout=options.dropout),
                decoder_hidden=hidden,
            )
            for modality, likelihood in self.likelihoods.items()
        )
        self.libraries = nn.ModuleList(LibraryOfLatent(schema, options.n_latent) for _ in schema.modalities)
        self.aligner = options.alignment.build(options.n_latent, options.n_hidden, len(schema.modalities))
        real = [name for name, likelihood in self.likelihoods.items() if likelihood.support is Support.real]
        self.linked = (
            LinkedFeatures(schema, options.n_smooth, panels=options.panels, real_valued=real) if options.links else None
        )
        self.says_linked = nn.Sequential(MLP(options.n_latent, hidden), nn.Linear(options.n_hidden, schema.n_vars))
        self.kinds = KindsInCommon(schema, options.n_kinds)

    @property
    def support(self) -> Support:
        return self.support_in(self.schema.modalities[0])

    def support_in(self, modality: str) -> Support:
        return self.likelihoods[modality].support

    def posterior(self, minibatch: Minibatch) -> GaussianLatent:
        """q(z | x) of each cell, from all that was measured on it."""
        return self._experts(minibatch).fused("product")

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The posterior mean at length one, by which cells of two modalities are compared; zero for an empty cell.

        How long it is says how much was measured of a cell, and that differs between modalities.
        """
        return functional.normalize(self.posterior(minibatch).mean, dim=1)

    def _experts(self, minibatch: Minibatch) -> Experts:
        measured = self._measured(minibatch)
        encoded = [network.encode(cells) for network, cells in zip(self._networks(), measured, strict=True)]
        mean, log_variance = torch.stack(encoded, dim=1).chunk(2, dim=2)
        return Experts(mean, log_variance, torch.stack([cells.mask for cells in measured], dim=1))

    def _measured(self, minibatch: Minibatch) -> list[Measured]:
        at_least = AT_LEAST_IN_TRAINING if self.training else 1
        return [Measured.of(minibatch, modality, at_least=at_least) for modality in self.schema.modalities]

    def _networks(self) -> list[ModalityNetwork]:
        return [network for network in self.networks if isinstance(network, ModalityNetwork)]

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """What is linked, and the kinds of cells that the modalities have in common."""
        refuse_one_modality(self)
        if self.linked is not None and self.options.links is not None:
            self.linked.learn(read_links(self.options.links, self.schema), source, rows, rng)
            self.kinds.learn(self.linked, source, rows, rng)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate)
        network = nn.ModuleList([self.networks, self.says_linked])
        objectives = [Objective("vae", self.loss, trains=network, optimiser=adam)]
        if isinstance(alignment := self.options.alignment, AdversarialAlignment):
            critic = Objective("critic", self.critic_loss, trains=self.aligner, optimiser=alignment.optimiser)
            objectives.append(critic)
        return [objectives]

    def loss(self, minibatch: Minibatch, step: Step) -> Loss:
        """The negative ELBO in nats per cell, the alignment, and the squared error of linked features."""
        z, kl = self.posterior(minibatch).draw(step.noise.normal(minibatch.rows, self.options.n_latent))
        terms = {
            f"reconstruction_{modality}": -network.log_prob(z, measured)
            for modality, network, measured in zip(
                self.schema.modalities, self._networks(), self._measured(minibatch), strict=True
            )
        }
        weight = self.alignment_weight(minibatch)
        terms |= {"kl": kl, "alignment": self.aligner.loss(z, group_of(minibatch.present), weight)}
        if self.linked is not None:
            with torch.no_grad():
                linked = self.linked(minibatch)
            terms["links"] = (self.says_linked(z)[:, self.linked.linked] - linked).square().mean(dim=1)
        aligned = self.options.alignment.weight * step.warmup(self.options.alignment_warmup_epochs)
        return Loss(terms, {"kl": self.options.beta, "alignment": aligned, "links": self.options.links_weight})

    def critic_loss(self, minibatch: Minibatch, step: Step) -> Loss:
        """How badly the critic names the modality, and its squared slope."""
        assert isinstance(self.aligner, Critic), "no other alignment has this objective"
        with torch.no_grad():
            z, _ = self.posterior(minibatch).draw(step.noise.normal(minibatch.rows, self.options.n_latent, _CRITIC))
        return self.aligner.critic_loss(z, group_of(minibatch.present), self.alignment_weight(minibatch))

    @torch.no_grad()
    def alignment_weight(self, minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        """The weight of each cell in the alignment: one, or by how frequent its kind is in the modalities."""
        if self.linked is None or not self.options.n_kinds:
            return torch.ones_like(minibatch.weight)
        return self.kinds(self.linked(minibatch), group_of(minibatch.present))

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Of each modality, from the cells that have it: in which batches it was met, and its library in the latent."""
        parts = zip(self.schema.modalities, self._networks(), self._libraries(), strict=True)
        for modality, network, library in parts:
            measured = rows[source.measured(modality)[rows]]
            network.decoder.conditions.met(torch.from_numpy(source.annotation.batch[measured]))
            if self.support_in(modality) >= Support.counts and len(measured):
                cells = in_order(source, measured, BLOCK_ROWS)
                library.learn((self.posterior(minibatch).mean, minibatch.of(modality)) for minibatch in cells)

    def _libraries(self) -> list[LibraryOfLatent]:
        return [library for library in self.libraries if isinstance(library, LibraryOfLatent)]

    @torch.no_grad()
    def translate(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """Decoded from the posterior mean of the other modalities."""
        others, at = minibatch.without(modality), self.schema.modalities.index(modality)
        cells, z, decoder = minibatch.of(modality), self.posterior(others).mean, self._networks()[at].decoder
        cells = replace(cells, batch=decoder.conditions.known(cells.batch))
        mean = decoder.mean_at(z, cells, self._libraries()[at](z, cells))
        return torch.where(others.present.any(dim=1, keepdim=True), mean, torch.nan)


def _refuse_kinds(options: AlignedVAEOptions) -> None:
    if options.n_kinds and (options.links is None or options.alignment.name not in WEIGHTED):
        raise OptionError(
            f"n_kinds of AlignedVAE must be 0 without links, and with an alignment other than {' or '.join(WEIGHTED)};"
            f" it is {options.n_kinds}. Give links and one of these alignments, or leave n_kinds out."
        )
