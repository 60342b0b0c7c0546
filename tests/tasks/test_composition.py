import pandas as pd
import pytest

from cellwright.errors import MissingKey
from cellwright.tasks.composition import composition


@pytest.fixture
def obs():
    return pd.DataFrame(
        {
            "cluster": pd.Categorical(["0", "0", "0", "10", "2", None], categories=["0", "2", "10"]),
            "donor": ["A", "B", "A", "A", "B", "B"],
        }
    )


def test_counts_and_shares_are_those_of_the_cross_table(obs):
    expected = pd.DataFrame(
        [
            ("0", "donor", "A", 2, 2 / 3, 2 / 3),
            ("0", "donor", "B", 1, 1 / 3, 1 / 2),
            ("2", "donor", "A", 0, 0.0, 0.0),
            ("2", "donor", "B", 1, 1.0, 1 / 2),
            ("10", "donor", "A", 1, 1.0, 1 / 3),
            ("10", "donor", "B", 0, 0.0, 0.0),
        ],
        columns=["cluster", "by", "category", "n", "share_of_cluster", "share_of_category"],
    )
    found = composition(obs, "cluster", "donor")
    pd.testing.assert_frame_equal(found.astype({"cluster": "O", "category": "O"}), expected, check_dtype=False)


def test_shares_of_each_cluster_and_of_each_category_sum_to_one(obs):
    found = composition(obs, "cluster", "donor")
    assert found.groupby("cluster", observed=True)["share_of_cluster"].sum().tolist() == pytest.approx([1, 1, 1])
    assert found.groupby("category", observed=True)["share_of_category"].sum().tolist() == pytest.approx([1, 1])


def test_a_key_against_itself_is_diagonal(obs):
    found = composition(obs, "donor", "donor")
    assert found["n"].tolist() == [3, 0, 0, 3]


@pytest.mark.parametrize(("cluster_key", "by"), [("clusters", "donor"), ("cluster", "doner")], ids=["cluster", "by"])
def test_a_misspelt_key_is_refused(obs, cluster_key, by):
    with pytest.raises(MissingKey, match="Did you mean"):
        composition(obs, cluster_key, by)
