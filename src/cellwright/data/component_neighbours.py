"""Neighbours in principal components, in the form in which imbalanced-learn takes them.

fit(values (n, n_vars)) -> kneighbors(values) -> (n, n_neighbours) positions, each row's own first
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from cellwright.data.source import Matrix
from cellwright.data.synthetic import fitted_pca


class ComponentNeighbours(BaseEstimator):
    """An estimator with `kneighbors`, as scikit-learn's: of the values' 20 principal components (see `fitted_pca`)."""

    def __init__(self, n_neighbours: int = 6) -> None:
        self.n_neighbours = n_neighbours

    def fit(self, values: Matrix) -> "ComponentNeighbours":
        """Find the components of these rows, and remember where they lie."""
        self.pca_ = fitted_pca(values)
        self.nearest_ = NearestNeighbors(n_neighbors=self.n_neighbours).fit(self.pca_.transform(values))
        return self

    def kneighbors(self, values: Matrix, *, return_distance: bool = False) -> np.ndarray:
        """Positions of the nearest of the fitted rows; distances are for nobody."""
        return self.nearest_.kneighbors(self.pca_.transform(values), return_distance=False)

    def kneighbors_graph(self, values: Matrix) -> "np.ndarray":
        """The same as a matrix of zeros and ones: imbalanced-learn asks that it exists."""
        return self.nearest_.kneighbors_graph(self.pca_.transform(values))
