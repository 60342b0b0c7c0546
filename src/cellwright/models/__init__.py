"""Architectures and baselines, one file each, and the table of them."""

from dataclasses import dataclass, field
from typing import Any

from cellwright.core.abilities import abilities_of
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.errors import OptionError, did_you_mean
from cellwright.models.adversarial import AdversarialAutoencoder, AdversarialAutoencoderOptions
from cellwright.models.aligned_vae import AlignedVAE, AlignedVAEOptions
from cellwright.models.as_measured import AsMeasured, AsMeasuredOptions
from cellwright.models.autoencoder import Autoencoder, AutoencoderOptions
from cellwright.models.contrastive import Contrastive, ContrastiveOptions
from cellwright.models.diffusion import Diffusion, DiffusionOptions
from cellwright.models.gan import GAN, GANOptions
from cellwright.models.gene_mean import GeneMean, GeneMeanOptions
from cellwright.models.gene_shift import GeneShift, GeneShiftOptions
from cellwright.models.gnn import GraphAutoencoder, GraphAutoencoderOptions
from cellwright.models.gp_response import GPResponse, GPResponseOptions
from cellwright.models.harmony import Harmony, HarmonyOptions
from cellwright.models.independent_nb import IndependentNB, IndependentNBOptions
from cellwright.models.joint_pca import JointPCA, JointPCAOptions
from cellwright.models.knn import NearestNeighbours, NearestNeighboursOptions
from cellwright.models.knn_gamma import KNNGamma, KNNGammaOptions
from cellwright.models.knn_smoothing import KNNSmoothing, KNNSmoothingOptions
from cellwright.models.knn_translation import KNNTranslation, KNNTranslationOptions
from cellwright.models.linear_extrapolation import LinearExtrapolation, LinearExtrapolationOptions
from cellwright.models.linked_cca import LinkedCCA, LinkedCCAOptions
from cellwright.models.logistic import LogisticOptions, LogisticRegression
from cellwright.models.magic import MAGIC, MAGICOptions
from cellwright.models.markov_chain import MarkovChain, MarkovChainOptions
from cellwright.models.mlp_classifier import MLPClassifier, MLPClassifierOptions
from cellwright.models.mmd_vae import MMDVAE, MMDVAEOptions
from cellwright.models.model import Model
from cellwright.models.multimodal_vae import MultimodalVAE, MultimodalVAEOptions
from cellwright.models.no_change import NoChange, NoChangeOptions
from cellwright.models.parts.linear_shift import LinearShift
from cellwright.models.parts.mean_shift import CommonShift, RawShift, SimilarShift
from cellwright.models.pca import PCA, PCAOptions
from cellwright.models.pca_shift import PCAShift, PCAShiftOptions
from cellwright.models.pca_smoothed import PCASmoothed, PCASmoothedOptions
from cellwright.models.persistence import Persistence, PersistenceOptions
from cellwright.models.real_cells import RealCells, RealCellsOptions
from cellwright.models.response_vae import ResponseVAE, ResponseVAEOptions
from cellwright.models.rnn import (
    SequenceAutoencoder,
    SequenceAutoencoderOptions,
    SequenceClassifier,
    SequenceClassifierOptions,
    SequenceForecaster,
    SequenceForecasterOptions,
)
from cellwright.models.scgen import ScGen, ScGenOptions
from cellwright.models.semi_vae import SemiVAE, SemiVAEOptions
from cellwright.models.sequence_transformer import TransformerForecaster, TransformerForecasterOptions
from cellwright.models.spatial import SpatialAutoencoder, SpatialAutoencoderOptions
from cellwright.models.svd import SVD, SVDOptions
from cellwright.models.transformer import (
    Transformer,
    TransformerClassifier,
    TransformerClassifierOptions,
    TransformerOptions,
)
from cellwright.models.treated_mean import TreatedMean, TreatedMeanOptions
from cellwright.models.vae import VAE, VAEOptions


@dataclass(frozen=True)
class Entry:
    """A name in MODELS: a class and a preset of its options."""

    model: type[Model]
    options_type: type[Options]
    summary: str
    preset: dict[str, Any] = field(default_factory=dict)

    def options(self, **values: Any) -> Options:
        """The preset, with `values` over it."""
        return self.options_type(**{**self.preset, **values})

    @property
    def abilities(self) -> tuple[str, ...]:
        """What tasks can ask of it."""
        return abilities_of(self.model)


_LINEAR = {"n_layers": 0, "activation": "linear"}

MODELS: dict[str, Entry] = {
    "pca": Entry(PCA, PCAOptions, "principal components of scaled log-normalised values; a baseline"),
    "pca_unscaled": Entry(
        PCA, PCAOptions, "principal components of log-normalised values as they are; a baseline", {"scale": False}
    ),
    "pca_smoothed": Entry(
        PCASmoothed,
        PCASmoothedOptions,
        "principal components of values averaged over the cells beside a cell; a baseline",
    ),
    "pca_centred": Entry(
        PCA,
        PCAOptions,
        "the same, with the mean of each batch taken off: a baseline of batch removal",
        {"centre": "batch"},
    ),
    "harmony": Entry(
        Harmony, HarmonyOptions, "principal components with the batches brought together in clusters; a baseline"
    ),
    "logistic": Entry(LogisticRegression, LogisticOptions, "logistic regression on principal components; a baseline"),
    "logistic_balanced": Entry(
        LogisticRegression,
        LogisticOptions,
        "logistic regression in which every label counts the same; a baseline",
        {"class_weight": "balanced"},
    ),
    "knn": Entry(NearestNeighbours, NearestNeighboursOptions, "labels of the nearest training cells; a baseline"),
    "nb_by_label": Entry(
        IndependentNB, IndependentNBOptions, "draws each count by itself, by label; the baseline of generators"
    ),
    "real_cells": Entry(RealCells, RealCellsOptions, "hands out training cells; the ceiling of generators"),
    "persistence": Entry(Persistence, PersistenceOptions, "what was last measured goes on; the floor of forecasts"),
    "linear_extrapolation": Entry(
        LinearExtrapolation, LinearExtrapolationOptions, "the line through the last few values goes on; a baseline"
    ),
    "markov_chain": Entry(
        MarkovChain, MarkovChainOptions, "the next state depends on the last one alone; a baseline of forecasts"
    ),
    "no_change": Entry(NoChange, NoChangeOptions, "gives control cells back as they are; the floor of responses"),
    "treated_mean": Entry(
        TreatedMean, TreatedMeanOptions, "the mean treated cell of the training, for every cell; a baseline"
    ),
    "gene_shift": Entry(
        GeneShift, GeneShiftOptions, "adds the mean change of labels with both sides, gene by gene; a baseline"
    ),
    "gene_shift_raw": Entry(
        GeneShift, GeneShiftOptions, "adds treated mean minus control mean, whatever the labels", {"shift": RawShift()}
    ),
    "gene_shift_similar": Entry(
        GeneShift,
        GeneShiftOptions,
        "the same, similar labels counting most; a strong baseline",
        {"shift": SimilarShift()},
    ),
    "mean_response": Entry(
        GeneShift,
        GeneShiftOptions,
        "every treatment does what treatments do on average; the baseline of screens",
        {"shift": CommonShift()},
    ),
    "linear_response": Entry(
        GeneShift,
        GeneShiftOptions,
        "change as a linear function of the control mean, over labels; a baseline",
        {"shift": LinearShift()},
    ),
    "pca_shift": Entry(
        PCAShift, PCAShiftOptions, "a shift of principal components; the baseline of arithmetic in a latent"
    ),
    "gp_response": Entry(
        GPResponse, GPResponseOptions, "Gaussian process over labels and conditions, gene by gene; the best baseline"
    ),
    "as_measured": Entry(AsMeasured, AsMeasuredOptions, "gives every value back as it is; the floor of imputations"),
    "gene_mean": Entry(GeneMean, GeneMeanOptions, "the mean of each gene at the cell's library; a baseline"),
    "knn_smoothing": Entry(KNNSmoothing, KNNSmoothingOptions, "averages a cell with its nearest cells; a baseline"),
    "knn_gamma": Entry(
        KNNGamma, KNNGammaOptions, "nearest cells, corrected by the cell's own counts; the best baseline of imputations"
    ),
    "svd": Entry(SVD, SVDOptions, "truncated singular value decomposition of logarithms; a baseline"),
    "alra": Entry(SVD, SVDOptions, "the same with zeros preserved; a baseline", {"zeros": "preserve"}),
    "magic": Entry(MAGIC, MAGICOptions, "diffusion over the graph of similar cells; a baseline"),
    "linked_cca": Entry(
        LinkedCCA, LinkedCCAOptions, "canonical correlation of linked features, for modalities without common cells"
    ),
    "linked_features": Entry(
        LinkedCCA, LinkedCCAOptions, "linked features as they are, smoothed; a baseline", {"canonical": False}
    ),
    "joint_pca": Entry(
        JointPCA,
        JointPCAOptions,
        "components of several modalities together, linear between them; a baseline",
    ),
    "knn_translation": Entry(
        KNNTranslation,
        KNNTranslationOptions,
        "a modality that a cell lacks, of cells alike in the others; a baseline",
    ),
    "ae": Entry(Autoencoder, AutoencoderOptions, "autoencoder with squared error on log-normalised values"),
    "dae": Entry(
        Autoencoder, AutoencoderOptions, "denoising autoencoder: part of the input is masked", {"corruption": "mask"}
    ),
    "linear_ae": Entry(
        Autoencoder, AutoencoderOptions, "autoencoder without hidden layers: spans PCA's subspace", _LINEAR
    ),
    "vae": Entry(
        VAE, VAEOptions, "variational autoencoder with a count likelihood and a batch-conditioned decoder; generates"
    ),
    "multimodal_vae": Entry(
        MultimodalVAE,
        MultimodalVAEOptions,
        "VAE of several modalities with one latent; cells may lack some; says what these would be",
    ),
    "mmd_vae": Entry(
        MMDVAE, MMDVAEOptions, "VAE with a penalty on how far the batches lie apart in its latent, by a kernel"
    ),
    "semi_vae": Entry(
        SemiVAE, SemiVAEOptions, "semi-supervised VAE: labels, where known, have a place each in the latent; classifies"
    ),
    "scgen": Entry(ScGen, ScGenOptions, "predicts responses to a treatment by a shift in the latent of a VAE"),
    "response_vae": Entry(
        ResponseVAE, ResponseVAEOptions, "VAE of counts with the response in its decoder, and a Gaussian process"
    ),
    "aae": Entry(
        AdversarialAutoencoder,
        AdversarialAutoencoderOptions,
        "adversarial autoencoder: critics make the latent normal and free of the batch",
    ),
    "aligned_vae": Entry(
        AlignedVAE, AlignedVAEOptions, "one latent for modalities without common cells, by alignment and feature links"
    ),
    "gan": Entry(GAN, GANOptions, "generates cells of a label and batch; Wasserstein GAN with gradient penalty"),
    "diffusion": Entry(Diffusion, DiffusionOptions, "denoising diffusion on a VAE's latent; generates and imputes"),
    "gae": Entry(
        GraphAutoencoder, GraphAutoencoderOptions, "graph autoencoder: a cell together with its nearest training cells"
    ),
    "spatial_gae": Entry(
        SpatialAutoencoder,
        SpatialAutoencoderOptions,
        "graph autoencoder of a tissue: a cell and its like among the cells beside it",
    ),
    "vgae": Entry(GraphAutoencoder, GraphAutoencoderOptions, "variational graph autoencoder", {"variational": True}),
    "contrastive": Entry(Contrastive, ContrastiveOptions, "contrastive learning: two masked views of a cell are near"),
    "transformer": Entry(
        Transformer, TransformerOptions, "transformer over the set of a cell's genes, pretrained on masked values"
    ),
    "transformer_classifier": Entry(
        TransformerClassifier, TransformerClassifierOptions, "transformer that says the label; can start from a run"
    ),
    "mlp_classifier": Entry(
        MLPClassifier, MLPClassifierOptions, "multilayer perceptron that says the label of a plain profile"
    ),
    "rnn": Entry(
        SequenceClassifier, SequenceClassifierOptions, "plain recurrent classifier of sequences", {"cell": "tanh"}
    ),
    "gru": Entry(SequenceClassifier, SequenceClassifierOptions, "GRU classifier of sequences", {"cell": "gru"}),
    "lstm": Entry(SequenceClassifier, SequenceClassifierOptions, "LSTM classifier of sequences", {"cell": "lstm"}),
    "forecaster": Entry(SequenceForecaster, SequenceForecasterOptions, "recurrent forecast of a sequence's next steps"),
    "transformer_forecaster": Entry(
        TransformerForecaster, TransformerForecasterOptions, "causal attention over the steps of a sequence: a forecast"
    ),
    "sequence_ae": Entry(SequenceAutoencoder, SequenceAutoencoderOptions, "recurrent autoencoder of sequences"),
}


def entry_of(name: str) -> Entry:
    """The entry of a name. Raises `OptionError` with the names there are."""
    if name not in MODELS:
        raise OptionError(f"there is no model {name!r}; there are {', '.join(MODELS)}.{did_you_mean(name, MODELS)}")
    return MODELS[name]


def build(name: str, schema: Schema, **options: Any) -> Model:
    """A new model by name, its preset's options changed by `options`."""
    return build_with(name, schema, entry_of(name).options(**options))


def build_with(name: str, schema: Schema, options: Options) -> Model:
    """A new model by name with all its options; it is known by that name whatever they are."""
    model = entry_of(name).model(schema, options)
    model.name = name
    return model


def name_of(model: Model) -> str:
    """The name that it was built by; of a model made from its class, the nearest name."""
    return model.name or nearest_name(type(model), model.options)


def nearest_name(model: type[Model], options: Options) -> str:
    """The name whose preset the options agree with best: what `pca:scale=false` is, however it was spelled.

    A class that is not in MODELS goes by its own name.
    """
    entries = {name: entry for name, entry in MODELS.items() if entry.model is model}
    fitting = {n: e for n, e in entries.items() if all(getattr(options, k) == v for k, v in e.preset.items())}
    return max(fitting, key=lambda name: len(fitting[name].preset), default=model.__name__.lower())
