"""Gaussian process over labels and conditions, gene by gene: from noisy means to what is expected of every mean.

    means by label and condition, with their sampling noise -> expected treated mean of every label (n_labels, n_vars)

    f(t, control) = a + u(t);  f(t, treated) = f(t, control) + b + v(t);  observed mean = f + noise
    cov(u(t), u(t')) = s_u exp(-similarity (1 - r(t, t'))), that of v has s_v and `response`; a and b have variances too
    noise variance = variance of the cells / number of cells;  r = correlation of the control means of two labels

Not only the change of a label is unknown: with a hundred cells, its own control mean is noisy too. A shift is added to
that noisy mean; here the mean borrows from the other labels, and a mean of few cells counts less.

The variances a, s_u, b, s_v of each gene come from moments, half of it from genes of about the same mean. With a
`prior` (what a network says of every mean), a and b are zero and u, v are what the network left over. A network was
trained on the very cells of these labels, so what it left over of them is less than what it will leave over of a label
that is held out: `v` and the lengths come out too small, and the process trusts the network more than it should. To
leave a label out of the process does not help, for it was not left out of the training.

References: [Rasmussen06], chapter 2; [Robinson91], best linear unbiased prediction.
"""

from dataclasses import dataclass, replace

import numpy as np

from cellwright.models.parts.mean_shift import similarity
from cellwright.models.parts.responses import Means

SIMILARITIES = (2.0, 5.0, 10.0)  # of the means; at 5, a correlation of .9 with another label is a covariance of .61
RESPONSES = (2.0, 5.0, 10.0, 20.0)  # of the changes
VAGUE = 4.0  # variance of a: means of log-normalised values lie between 0 and about 6
LEAST_VARIANCE = 1e-5
LEAST_CELL_VARIANCE = 1e-4
N_BINS = 30  # of genes by their mean, for the trend of a variance
MOST_LABELS = 8  # with both sides, up to which all genes choose the lengths
CHOOSING_GENES = 500
GENES_TOGETHER = 1000  # whose (2 n_labels)^2 covariances are in memory together


@dataclass(frozen=True)
class Lengths:
    """How fast similarity between labels falls with the correlation of their control means."""

    similarity: float
    response: float


@dataclass(frozen=True, eq=False)
class Observed:
    """Means that are known: entry i is the mean of label `labels[i]`, treated where `treated[i]` is 1."""

    labels: np.ndarray  # (n_entries,)
    treated: np.ndarray  # (n_entries,) 0 or 1
    mean: np.ndarray  # (n_entries, n_vars), the prior subtracted
    noise: np.ndarray  # (n_entries, n_vars)


def expected_means(
    means: Means, condition: int, lengths: Lengths, prior: np.ndarray | None = None, *, without: int | None = None
) -> np.ndarray:
    """Expected mean of every label under `condition`, (n_labels, n_vars); NaN for a label without control cells.

    `prior (n_labels, 2, n_vars)` is what is thought of control and treated means beforehand. The treated cells of the
    label `without` are left out, as if they had not been measured; of the `prior` of a trained network they are not.
    """
    with_control = np.array(means.with_control)
    shared = np.array([label for label in means.shared(condition).tolist() if label != without])
    known = _observed(means, with_control, shared, condition, prior)
    correlation = np.full((means.mean.shape[0],) * 2, np.nan)
    for label in with_control.tolist():
        correlation[label, with_control] = similarity(means, with_control, label)
    variances = _variances(known, means.mean[with_control, means.control].mean(axis=0), has_prior=prior is not None)
    expected = np.full((means.mean.shape[0], means.mean.shape[2]), np.nan)
    for start in range(0, means.mean.shape[2], GENES_TOGETHER):
        genes = slice(start, start + GENES_TOGETHER)
        part = {name: variance[genes] for name, variance in variances.items()}
        expected[with_control, genes] = _posterior(known, with_control, correlation, part, lengths, genes)
    return expected if prior is None else expected + prior[:, 1]


def chosen_lengths(means: Means, condition: int, prior: np.ndarray | None = None) -> Lengths:
    """The lengths with the least squared error, predicting each label that has both sides as if it had one.

    Differences of less than a hundredth go to the middle of what is tried. With two such labels there is nothing to
    choose by: each would be predicted from one. With a `prior` of a network that was trained on these labels the error
    is in-sample (see above). With many labels, see `some_genes`.
    """
    shared = means.shared(condition).tolist()
    if len(shared) > MOST_LABELS:
        means, prior = some_genes(means, prior)
    tried = [Lengths(a, b) for a in SIMILARITIES for b in RESPONSES]
    usual = Lengths(5.0, 5.0)
    if len(shared) <= 2:
        return usual
    errors = {}
    for lengths in tried:
        left_out = [expected_means(means, condition, lengths, prior, without=label)[label] for label in shared]
        errors[lengths] = sum(
            float(np.square(predicted - means.mean[label, condition]).sum())
            for label, predicted in zip(shared, left_out, strict=True)
        )
    best = min(tried, key=errors.__getitem__)
    return usual if errors[usual] < 1.01 * errors[best] else best


def some_genes(means: Means, prior: np.ndarray | None) -> tuple[Means, np.ndarray | None]:
    """Means and prior over 500 genes, evenly spaced in the order of the variance between the labels' control means.

    For a choice among twelve pairs of lengths. Its cost grows with the fourth power of the number of labels, and with
    that of genes: the left-out label times (2 n_labels)^3 of each solution. The same data have the same genes.
    """
    n_vars = means.mean.shape[2]
    if n_vars <= CHOOSING_GENES:
        return means, prior
    order = np.argsort(means.mean[means.with_control, means.control].var(axis=0), kind="stable")
    genes = np.sort(order[np.linspace(0, n_vars - 1, CHOOSING_GENES).round().astype(np.int64)])
    some = replace(means, mean=means.mean[:, :, genes], variance=means.variance[:, :, genes])
    return some, None if prior is None else prior[:, :, genes]


def _observed(
    means: Means, with_control: np.ndarray, shared: np.ndarray, condition: int, prior: np.ndarray | None
) -> Observed:
    labels = np.concatenate([with_control, shared])
    treated = np.repeat([0, 1], [len(with_control), len(shared)])
    column = np.where(treated == 1, condition, means.control)
    mean, variance, n = means.mean[labels, column], means.variance[labels, column], means.weight[labels, column]
    pooled = 0.5 * variance + 0.5 * trend(mean.ravel(), variance.ravel()).reshape(mean.shape)
    noise = np.maximum(pooled, LEAST_CELL_VARIANCE) / n[:, None]
    return Observed(labels, treated, mean if prior is None else mean - prior[labels, treated], noise)


def _variances(known: Observed, level: np.ndarray, *, has_prior: bool) -> dict[str, np.ndarray]:
    """Of each gene, (n_vars,): `a`, `u`, `b`, `v`."""
    is_control = known.treated == 0
    control, control_noise = known.mean[is_control], known.noise[is_control]
    position = {label: at for at, label in enumerate(known.labels[is_control].tolist())}
    both = [position[label] for label in known.labels[~is_control].tolist()]
    change = known.mean[~is_control] - control[both]
    change_noise = (known.noise[~is_control] + control_noise[both]).mean(axis=0)
    if has_prior:
        u = np.square(control).mean(axis=0) - control_noise.mean(axis=0)
        v = np.square(change).mean(axis=0) - change_noise
        nothing = np.zeros_like(level)
        return {"a": nothing, "b": nothing, "u": _half_pooled(level, u), "v": _half_pooled(level, v)}
    several = max(len(change) - 1, 1)
    u = control.var(axis=0, ddof=min(1, len(control) - 1)) - control_noise.mean(axis=0)
    v = np.square(change - change.mean(axis=0)).sum(axis=0) / several - change_noise
    b = np.square(change.mean(axis=0)) - change_noise / len(change)
    return {
        "a": np.full_like(level, VAGUE),
        "u": _half_pooled(level, u),
        "v": _half_pooled(level, v),
        "b": _half_pooled(level, b),
    }


def _posterior(
    known: Observed,
    wanted: np.ndarray,
    correlation: np.ndarray,
    variance: dict[str, np.ndarray],
    lengths: Lengths,
    genes: slice,
) -> np.ndarray:
    """Expected treated mean of the labels `wanted`, (n_wanted, n_genes)."""
    y = known.mean[:, genes].T  # (n_genes, n_entries)
    # means are about their level, not about zero; with a prior `a` is zero, and so is the level
    level = y[:, known.treated == 0].mean(axis=1, keepdims=True) * (variance["a"] > 0)[:, None]
    kernels = [np.exp(-length * (1 - correlation)) for length in (lengths.similarity, lengths.response)]

    def covariance(labels: np.ndarray, treated: np.ndarray) -> np.ndarray:
        """Between entries of these labels and the known ones, (n_genes, n, n_entries)."""
        u, v = (kernel[np.ix_(labels, known.labels)] for kernel in kernels)
        both = np.outer(treated, known.treated)
        parts = {"a": np.ones_like(u), "u": u, "b": both, "v": v * both}
        return sum(variance[name][:, None, None] * part for name, part in parts.items())

    between = covariance(known.labels, known.treated)
    entries = np.arange(len(known.labels))
    between[:, entries, entries] += known.noise[:, genes].T
    weights = np.linalg.solve(between, (y - level)[:, :, None])
    return (level + (covariance(wanted, np.ones(len(wanted))) @ weights)[:, :, 0]).T


def trend(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean of `y (n,)` at about the same `x (n,)`: means of bins with equally many, joined by straight lines."""
    edges = np.quantile(x, np.linspace(0, 1, N_BINS + 1))
    at = np.clip(np.searchsorted(edges, x, "right") - 1, 0, N_BINS - 1)
    n = np.bincount(at, minlength=N_BINS)
    places, values = (np.bincount(at, of, minlength=N_BINS)[n > 0] / n[n > 0] for of in (x, y))
    return np.interp(x, places, values)


def _half_pooled(level: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Half of a gene's own variance and half of what genes of its level have; none below `LEAST_VARIANCE`."""
    own = np.maximum(variance, 0)
    return 0.5 * own + 0.5 * trend(level, own) + LEAST_VARIANCE
