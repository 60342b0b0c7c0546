"""Logistic regression: the baseline that every classifier has to beat.

    x -log-normalise, principal components-> z (n_obs, n_latent) -linear-> logits (n_obs, n_labels) -softmax-> labels

Multinomial, with a penalty on the squared coefficients, fitted by scikit-learn; its coefficients are kept as buffers.
The penalty does not see rotations, so with as many components as features this is the regression on the scaled values
themselves. Fewer are better on cells: balanced accuracy .878 and .891 with 50 components, .848 and .874 with all 2,000
features and the better of two penalties (`mouse_bladder`, `pbmc4k_10x`, mean of five splits, 15 % validation cells by
which these defaults were chosen). Other data want other penalties: with `tuned` it is chosen among the training cells,
at the price of forty fits. Where there are fewer training cells than components, there are as many as the cells span. A
value that was not measured in a sequence is the training mean.

References: [Cox58]; [King01] for class weights; [Abdelaal19] for linear classifiers of cells against others.
"""

import warnings
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cellwright.core.abilities import Classifies
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError
from cellwright.models.model import Model
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn.transform import Transform

MAX_ITERATIONS = 10_000  # of L-BFGS; a few hundred are usual
# inverse penalties that are tried, the strongest penalty first: of two that are as good it is taken
TRIED = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TUNING_FOLDS = 5


class LogisticOptions(Options):
    """Options of logistic regression."""

    n_latent: int = Field(50, ge=1, description="principal components that it reads; at most as many as features")
    scale: bool = Field(default=True, description="scale every feature to unit variance on the training cells")
    penalty: float = Field(10.0, gt=0, description="weight of half the squared coefficients against the log-likelihood")
    tuned: bool = Field(
        default=False, description="choose the penalty by five-fold cross-validation among the training cells instead"
    )
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: every label counts the same in training, however many cells it has"
    )
    transform: Transform = Field("log_normalise", description="of the values before the components")


class LogisticRegression(Model, Classifies):
    """A linear function of the principal components for each label."""

    needs = frozenset({"label"})
    is_baseline = True
    coefficients: Tensor
    intercepts: Tensor
    citations = ("Cox58", "King01", "Abdelaal19")

    def __init__(self, schema: Schema, options: LogisticOptions = LogisticOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: LogisticOptions = options
        components = PCAOptions(n_latent=options.n_latent, scale=options.scale, transform=options.transform)
        self.components = PCA(schema, components)
        self.components.may_lack_components = True  # fifty samples of a tissue can be told apart, too
        self.register_buffer("coefficients", torch.zeros(self.components.n_latent, schema.n_labels))
        self.register_buffer("intercepts", torch.zeros(schema.n_labels))

    @property
    def support(self) -> Support:
        return self.components.support

    def classify(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        return (self.components.encode(minibatch) @ self.coefficients + self.intercepts).softmax(dim=1)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        from sklearn.linear_model import LogisticRegression as Regression  # takes two seconds

        labelled = labelled_rows(source, rows, "logistic regression")
        self.components.learn(source, rows, rng)
        device = self.coefficients.device
        latent = torch.cat([self.components.encode(m.to(device)) for m in in_order(source, labelled)])
        weight = "balanced" if self.options.class_weight == "balanced" else None
        regression = Regression(C=1 / self.options.penalty, class_weight=weight, max_iter=MAX_ITERATIONS)
        points, codes = latent.double().cpu().numpy(), source.annotation.label[labelled]
        if self.options.tuned:
            regression = _with_best_penalty(regression, points, codes)
        regression.fit(points, codes)
        self._keep(regression.classes_, regression.coef_, regression.intercept_)

    def _keep(self, labels: np.ndarray, coefficients: np.ndarray, intercepts: np.ndarray) -> None:
        if len(labels) == 2:  # one function, of the second label against the first
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
            intercepts = np.append(0.0, intercepts)
        # a label that no training cell has is never said
        self.coefficients.zero_()
        self.intercepts.fill_(-torch.inf)
        at = torch.from_numpy(labels).to(self.intercepts.device)
        self.coefficients[:, at] = torch.from_numpy(coefficients.T).to(self.coefficients)
        self.intercepts[at] = torch.from_numpy(intercepts).to(self.intercepts)


def _with_best_penalty(regression: Any, points: np.ndarray, codes: np.ndarray) -> Any:
    """The regression with the penalty that is right most often on cells that it was not fitted to.

    With class weights it is the balanced accuracy that counts. Folds are stratified; where no label has two cells there
    is nothing to hold out, and the penalty stays.
    """
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    n_folds = min(TUNING_FOLDS, int(np.bincount(codes).max()))
    if n_folds < 2:
        return regression
    search = GridSearchCV(
        regression,
        {"C": TRIED},
        scoring="balanced_accuracy" if regression.class_weight else "accuracy",
        cv=StratifiedKFold(n_folds, shuffle=True, random_state=0),
        refit=False,
    )
    with warnings.catch_warnings():
        # rare labels are missing in some folds; the mean over the folds is all that is asked for
        warnings.filterwarnings("ignore", "The least populated class")
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        search.fit(points, codes)
    return regression.set_params(**search.best_params_)


def labelled_rows(source: Source, rows: np.ndarray, learner: str) -> np.ndarray:
    """Those of `rows` that have a label. Raises `DataError` where they have fewer than two different ones."""
    labels = source.annotation.label[rows]
    if len(found := np.unique(labels[labels >= 0])) < 2:
        raise DataError(
            f"{learner} must have training cells of two labels at least; they have {len(found)}. "
            "Give another label_key, or hold out fewer cells."
        )
    return rows[labels >= 0]
