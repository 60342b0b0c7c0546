"""`cellwright generate`: the cells that were asked for, in a file that anndata opens."""

import numpy as np
import pytest
from anndata import read_h5ad

from cellwright.cli.generate import _counts
from cellwright.errors import OptionError

QUICK = ["--max-epochs", "1", "--n-latent", "3", "--n-hidden", "16"]


@pytest.fixture
def generator(cellwright, cells, tmp_path):
    """The folder of a finished fit of a model that generates."""
    keys = ["--label-key", "label", "--batch-key", "batch"]
    assert cellwright("fit", "nb_by_label", cells, "--out", tmp_path / "generator", *keys).code == 0
    return tmp_path / "generator"


@pytest.fixture
def generated(cellwright, generator, tmp_path):
    """A function: tokens -> how the command ended, and where its cells are."""

    def of(*tokens):
        return cellwright("generate", generator, "--out", tmp_path / "new.h5ad", *tokens), tmp_path / "new.h5ad"

    return of


def test_cells_of_one_label_are_written_and_counted(generated, simulated):
    label = simulated.obs["label"].iloc[0]
    ended, path = generated("--n", 1200, "--label", label)
    new = read_h5ad(path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.strip() == f"nb_by_label: 1,200 new cells -> {path}"
    assert set(new.obs["label"]) == {label}
    assert new.var_names.tolist() == simulated.var_names.tolist()
    assert new.X.sum() > 0


def test_counts_by_label_and_one_batch(generated, simulated):
    first, second, *_ = simulated.obs["label"].cat.categories
    batch = simulated.obs["batch"].iloc[0]
    ended, path = generated("--labels", f"{first}=7,{second}=3", "--batch", batch)
    assert ended.code == 0
    obs = read_h5ad(path).obs
    assert obs["label"].value_counts()[[first, second]].tolist() == [7, 3]
    assert set(obs["batch"]) == {batch}


def test_the_same_seed_gives_the_same_cells_and_another_others(generated):
    values = [read_h5ad(generated("--n", 20, "--seed", seed)[1]).X.toarray() for seed in (0, 0, 1)]
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_the_run_stays_as_it_is(generated, generator, digest):
    before = digest(generator)
    assert generated("--n", 20)[0].code == 0
    assert digest(generator) == before


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        pytest.param(["--n", 5, "--label", "label_"], "Did you mean", id="unknown label"),
        pytest.param([], "they say nothing", id="no number"),
        pytest.param(["--n", 5, "--labels", "label"], "--labels must be name=count", id="no count"),
        pytest.param(["--labels", "a=1", "--label", "a"], "must not both be given", id="twice"),
    ],
)
def test_what_cannot_be_made_ends_with_2_and_no_file(generated, simulated, tokens, said):
    tokens = [f"{simulated.obs['label'].iloc[0]}x" if token == "label_" else token for token in tokens]
    ended, path = generated(*tokens)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.sentence
    assert not path.exists()


def test_a_model_that_does_not_generate_ends_with_2(cellwright, cells, tmp_path):
    assert cellwright("fit", "pca", cells, "--n-latent", "3", "--out", tmp_path / "pca").code == 0
    ended = cellwright("generate", tmp_path / "pca", "--n", 5, "--out", tmp_path / "new.h5ad")
    assert ended.code == 2
    assert "pca cannot do `generate`" in ended.sentence


def test_cells_of_one_condition_come_with_it(cellwright, simulated, tmp_path):
    treated = simulated.copy()
    treated.obs["condition"] = np.where(np.arange(treated.n_obs) % 3, "control", "drug")
    treated.write_h5ad(tmp_path / "treated.h5ad")
    keys = ["--label-key", "label", "--condition-key", "condition"]
    assert cellwright("fit", "vae", tmp_path / "treated.h5ad", "--out", tmp_path / "vae", *keys, *QUICK).code == 0
    label = treated.obs["label"].iloc[0]
    wish = ["--n", 9, "--label", label, "--out", tmp_path / "new.h5ad"]
    assert cellwright("generate", tmp_path / "vae", *wish, "--condition", "drug").code == 0
    new = read_h5ad(tmp_path / "new.h5ad").obs
    assert new[["label", "condition"]].drop_duplicates().to_numpy().tolist() == [[label, "drug"]]
    ended = cellwright("generate", tmp_path / "vae", *wish, "--condition", "drugs")
    assert ended.code == 2
    assert "conditions of generate must be values of 'condition': control, drug; 'drugs' is none" in ended.sentence


def test_names_may_hold_commas_and_equal_signs():
    assert _counts("CD4 T=100, B, naive=50,k=3=2") == {"CD4 T": 100, "B, naive": 50, "k=3": 2}
    for text in ("a=1,b", "a=1,a=2"):
        with pytest.raises(OptionError, match="each once, separated by commas"):
            _counts(text)
