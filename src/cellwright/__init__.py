"""cellwright: neural networks for single-cell omics under one small contract, with the honest comparison built in.

The public names are listed in `_WHERE`; each is imported when it is first used, so `import cellwright` loads neither
torch nor scanpy.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    # data
    "open_data": "data.open",
    "Schema": "core.schema",
    "Split": "data.split",
    "random_split": "data.split",
    "stratified_split": "data.split",
    "fold_split": "data.split",
    "grouped_fold_split": "data.grouped",
    "grouped_split": "data.grouped",
    "given_split": "data.grouped",
    "held_out_batch_split": "data.split",
    "held_out_combination_split": "data.split",
    "Sequential": "data.plan",
    "Shuffled": "data.plan",
    "Weighted": "data.plan",
    "ClassBalanced": "data.plan",
    "PlaceGraphOptions": "data.place_graph",
    "PreprocessOptions": "data.preprocess",
    "preprocess": "data.preprocess",
    "SimulateOptions": "data.simulate",
    "simulate": "data.simulate",
    "PathOptions": "data.paths",
    "paths": "data.paths",
    "split_steps": "data.paths",
    "walks": "data.paths",
    "ranked": "data.sequences",
    "windows": "data.sequences",
    "series": "data.series",
    "ConvertOptions": "data.convert",
    "convert": "data.convert",
    "CATALOGUE": "data.catalogue",
    "load": "data.catalogue",
    # models
    "MODELS": "models",
    "Model": "models.model",
    "build": "models",
    "Autoencoder": "models.autoencoder",
    "AutoencoderOptions": "models.autoencoder",
    "Diffusion": "models.diffusion",
    "DiffusionOptions": "models.diffusion",
    "GraphAutoencoder": "models.gnn",
    "GraphAutoencoderOptions": "models.gnn",
    "MLPClassifier": "models.mlp_classifier",
    "MLPClassifierOptions": "models.mlp_classifier",
    "MultimodalVAE": "models.multimodal_vae",
    "MultimodalVAEOptions": "models.multimodal_vae",
    "PCA": "models.pca",
    "PCAOptions": "models.pca",
    "SequenceAutoencoder": "models.rnn",
    "SequenceAutoencoderOptions": "models.rnn",
    "SequenceClassifier": "models.rnn",
    "SequenceClassifierOptions": "models.rnn",
    "SequenceForecaster": "models.rnn",
    "SequenceForecasterOptions": "models.rnn",
    "VAE": "models.vae",
    "VAEOptions": "models.vae",
    "LIKELIHOODS": "likelihoods",
    "Bernoulli": "likelihoods.bernoulli",
    "Gaussian": "likelihoods.gaussian",
    "NBBackground": "likelihoods.nb_background",
    "NegativeBinomial": "likelihoods.negative_binomial",
    "Poisson": "likelihoods.poisson",
    "ZINB": "likelihoods.zinb",
    # training
    "FitOptions": "train.options",
    "History": "train.history",
    "fit": "train.fit",
    "load_run": "train.saved",
    "save_run": "train.saved",
    "Run": "run",
    # tasks
    "ClusterOptions": "tasks.cluster",
    "classify": "tasks.classify",
    "cluster": "tasks.cluster",
    "Confidence": "tasks.confidence",
    "confidence_of": "tasks.confidence",
    "composition": "tasks.composition",
    "embed": "tasks.embed",
    "EnrichmentOptions": "tasks.enrichment",
    "enrichment": "tasks.enrichment",
    "decode_forecast": "tasks.decode_forecast",
    "ForecastOptions": "tasks.forecast",
    "forecast": "tasks.forecast",
    "state_transitions": "tasks.state_transitions",
    "generate": "tasks.generate",
    "ImputeOptions": "tasks.impute",
    "impute": "tasks.impute",
    "impute_to": "tasks.impute",
    "InteractionOptions": "tasks.interactions",
    "interactions": "tasks.interactions",
    "markers": "tasks.markers",
    "perturb": "tasks.perturb",
    "reduce": "tasks.reduce",
    "SpatialOptions": "tasks.spatial",
    "spatial": "tasks.spatial",
    "score": "tasks.score",
    "TrajectoryOptions": "tasks.trajectory",
    "trajectory": "tasks.trajectory",
    "changes": "tasks.changes",
    "translate": "tasks.translate",
    "METRICS": "metrics",
    # many runs
    "CompareOptions": "study.compare",
    "compare": "study.compare",
    "AugmentOptions": "study.augment_plan",
    "augment_study": "study.augment",
    "PerturbOptions": "study.perturb_plan",
    "perturb_study": "study.perturb",
    "RecoverOptions": "study.recover_plan",
    "recover": "study.recover",
    "IntegrateOptions": "study.integrate",
    "integrate": "study.integrate",
    "SpatialStudyOptions": "study.spatial",
    "spatial_study": "study.spatial",
    "TrajectoryStudyOptions": "study.trajectory",
    "trajectory_study": "study.trajectory",
    "report": "report.page",
    # errors
    "AbilityError": "errors",
    "CellwrightError": "errors",
    "DataError": "errors",
    "DataFileError": "errors",
    "Interrupted": "train.interrupt",
    "MissingKey": "errors",
    "OptionError": "errors",
    "RunError": "errors",
    "SchemaMismatch": "errors",
    "TrainingDiverged": "errors",
    "UnsuitableValues": "errors",
}

__all__ = ["__version__", *_WHERE]  # noqa: PLE0604  the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cellwright' has no attribute {name!r}")
    value = getattr(import_module(f"cellwright.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
