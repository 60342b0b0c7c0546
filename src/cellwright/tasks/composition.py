"""Composition: which donors, conditions or cell types a cluster is made of.

obs[cluster_key], obs[by] -> one row per cluster and category: how many cells, and their share of each
"""

import pandas as pd

from cellwright.errors import MissingKey


def composition(obs: pd.DataFrame, cluster_key: str, by: str) -> pd.DataFrame:
    """Count the cells of every cluster in every category of `by`, pairs without cells included.

    Columns: `cluster`, `by` (the key), `category`, `n`, `share_of_cluster` (n / cells of the cluster),
    `share_of_category` (n / cells of the category). Cells with either missing are left out of counts and shares.
    A cluster made of one donor, or a donor all in one cluster, is a sign of a batch effect. Raises `MissingKey`.
    """
    for role, key in (("cluster_key", cluster_key), ("by", by)):
        if key not in obs:
            raise MissingKey.of("obs", key, role, obs.columns)
    table = pd.crosstab(obs[cluster_key], obs[by], rownames=["cluster"], colnames=["category"])
    long = table.melt(ignore_index=False, value_name="n").reset_index()
    long = long.sort_values(["cluster", "category"], ignore_index=True)
    long.insert(1, "by", by)
    long["share_of_cluster"] = long["n"] / long.groupby("cluster", observed=True)["n"].transform("sum")
    long["share_of_category"] = long["n"] / long.groupby("category", observed=True)["n"].transform("sum")
    return long
