"""The public names, pinned; and that importing is cheap, and possible for each module by itself."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import cellwright

# to add or remove a public name is a decision: change this list with it, and the changelog
PUBLIC = [
    "AbilityError",
    "augment_study",
    "AugmentOptions",
    "Autoencoder",
    "AutoencoderOptions",
    "Bernoulli",
    "build",
    "CATALOGUE",
    "CellwrightError",
    "ClassBalanced",
    "classify",
    "cluster",
    "ClusterOptions",
    "compare",
    "CompareOptions",
    "composition",
    "Confidence",
    "confidence_of",
    "convert",
    "ConvertOptions",
    "DataError",
    "DataFileError",
    "decode_forecast",
    "Diffusion",
    "DiffusionOptions",
    "embed",
    "enrichment",
    "EnrichmentOptions",
    "fit",
    "FitOptions",
    "fold_split",
    "forecast",
    "ForecastOptions",
    "Gaussian",
    "generate",
    "given_split",
    "GraphAutoencoder",
    "GraphAutoencoderOptions",
    "grouped_fold_split",
    "grouped_split",
    "held_out_batch_split",
    "held_out_combination_split",
    "History",
    "impute",
    "impute_to",
    "ImputeOptions",
    "integrate",
    "IntegrateOptions",
    "InteractionOptions",
    "interactions",
    "Interrupted",
    "LIKELIHOODS",
    "load",
    "load_run",
    "markers",
    "METRICS",
    "MissingKey",
    "MLPClassifier",
    "MLPClassifierOptions",
    "Model",
    "MODELS",
    "MultimodalVAE",
    "MultimodalVAEOptions",
    "NBBackground",
    "NegativeBinomial",
    "open_data",
    "OptionError",
    "PathOptions",
    "paths",
    "PCA",
    "PCAOptions",
    "perturb",
    "perturb_study",
    "PerturbOptions",
    "PlaceGraphOptions",
    "Poisson",
    "preprocess",
    "PreprocessOptions",
    "random_split",
    "ranked",
    "recover",
    "RecoverOptions",
    "reduce",
    "report",
    "Run",
    "RunError",
    "save_run",
    "Schema",
    "SchemaMismatch",
    "score",
    "SequenceAutoencoder",
    "SequenceAutoencoderOptions",
    "SequenceClassifier",
    "SequenceClassifierOptions",
    "SequenceForecaster",
    "SequenceForecasterOptions",
    "Sequential",
    "series",
    "Shuffled",
    "simulate",
    "SimulateOptions",
    "spatial",
    "spatial_study",
    "SpatialOptions",
    "SpatialStudyOptions",
    "Split",
    "split_steps",
    "state_transitions",
    "stratified_split",
    "TrainingDiverged",
    "translate",
    "TrajectoryOptions",
    "TrajectoryStudyOptions",
    "changes",
    "trajectory",
    "trajectory_study",
    "UnsuitableValues",
    "VAE",
    "VAEOptions",
    "__version__",
    "walks",
    "Weighted",
    "windows",
    "ZINB",
]
HEAVY = ["torch", "scanpy", "anndata", "lightning_fabric", "pandas", "sklearn"]


def test_the_public_names_are_these():
    assert sorted(cellwright.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name):
    assert getattr(cellwright, name) is not None


def test_dir_shows_the_public_names():
    assert dir(cellwright) == sorted(PUBLIC)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'cellwright' has no attribute 'VEA'"):
        cellwright.VEA  # noqa: B018


def test_the_object_of_a_name_is_the_one_of_its_module():
    for name, module in cellwright._WHERE.items():
        assert cellwright.__getattr__(name) is getattr(import_module(f"cellwright.{module}"), name)


def test_a_public_name_that_is_a_folder_too_can_be_called_whichever_was_met_first():
    assert {f"cellwright.{name}" for name in PUBLIC} & set(modules()) == {"cellwright.report"}
    module = import_module("cellwright.report")
    assert callable(module)
    assert callable(cellwright.report)


def test_importing_the_package_loads_no_heavy_library():
    program = f"import sys, cellwright; print(sorted(set({HEAVY}) & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def modules():
    root = Path(cellwright.__file__).parent
    names = [path.relative_to(root.parent).with_suffix("").as_posix().replace("/", ".") for path in root.rglob("*.py")]
    return sorted(name.removesuffix(".__init__") for name in names)


def floors():
    """The rooms of each floor, lowest first, and the package itself at the top."""
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    contract = next(c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [[*map(str.strip, layer.split("|"))] for layer in reversed(contract["layers"])] + [["cellwright"]]


def test_every_module_can_be_imported_first():
    """A cycle of imports works or fails by which of its modules comes first, so each is, in a process of its own.

    Each is the first of its floor: those below are loaded, which it cannot have a cycle with, for after every import
    nothing above is. What a package loads by itself is not tried again: whoever imports it imports the package before.
    """
    program = f"""
import importlib, sys, traceback
import cellwright
below, with_package, left = {{"cellwright"}}, set(), {modules()}
for rooms in {floors()}:
    own = [m for m in left if any(m == room or m.startswith(room + ".") for room in rooms)]
    left = [m for m in left if m not in own]
    for name in own:
        if name in with_package:
            continue
        for loaded in [m for m in sys.modules if m.split(".")[0] == "cellwright" and m not in below]:
            del sys.modules[loaded]
            parent, _, child = loaded.rpartition(".")
            if parent in below:
                vars(sys.modules[parent]).pop(child, None)  # a package of its own floor goes itself
        try:
            importlib.import_module(name)
        except Exception:
            print(name, traceback.format_exc())
        with_package.update(m for m in sys.modules if m.startswith(name + "."))
        for loaded in sys.modules:
            if loaded.split(".")[0] == "cellwright" and loaded not in below and loaded not in own:
                print(name, "must not load", loaded)
    below.update(own)
print(*left)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"
