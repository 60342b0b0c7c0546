"""Simulate: cells whose truth is known, for tests and examples.

    latent (n_obs, n_latent) @ loadings.T + base + batch shift + response to treatment = log rate (n_obs, n_vars)
    mean = library * softmax(log rate);  count ~ NB(mean, theta), variance = mean + mean^2 / theta;  then dropped zeros

Each part (labels, latent, features, batch, treatment, library, counts) has a generator of its own, made from the seed:
a simulation with two batches has the same latent and loadings as one without.

Unlike Splatter [Zappia17], the rates are log-linear in a latent, so that the latent itself is known.

References: [Lopez18] scVI, for softmax times library.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field, ValidationInfo, field_validator
from scipy import sparse

from cellwright.core.options import Options
from cellwright.data.split import apportion

_FORK = 0.4  # pseudotime at which the trunk divides
_PATH = 5.0  # length from the root to the tip of a branch, in label distances
_RESPONDING = 0.2  # share of the features that answer to a treatment
_BASE_SD = 1.5  # of the log of a feature's base rate
_BLOCK_ROWS = 1_024  # cells whose dense means are in memory together


class SimulateOptions(Options):
    """What is simulated."""

    n_obs: int = Field(1_000, ge=2, description="cells")
    n_vars: int = Field(500, ge=2, description="features")
    n_latent: int = Field(5, ge=1, description="dimensions of the latent")
    signal: float = Field(1.0, ge=0, description="standard deviation of what the latent adds to the log rates")
    label_distance: float = Field(
        2.0, ge=0, description="how far apart labels are in the latent, in standard deviations within a label"
    )
    n_branches: int = Field(0, ge=0, description="0: discrete labels; more: a trunk that divides into so many branches")
    label_shares: tuple[float, ...] = Field(
        (0.5, 0.3, 0.2), min_length=1, description="relative sizes of the labels; with branches, of trunk and branches"
    )
    n_times: int = Field(5, ge=2, description="time points in [0, 1] at which the cells of a trajectory are collected")
    n_batch: int = Field(1, ge=1, description="experimental batches, of equal size")
    batch_strength: float = Field(0.3, ge=0, description="standard deviation of a batch's shift of the log rates")
    treated_share: float = Field(0.0, ge=0, lt=1, description="share of the cells that are treated")
    treated_strength: float = Field(1.0, ge=0, description="standard deviation of the shared response of the log rates")
    treated_spread: float = Field(
        0.5, ge=0, description="standard deviation of a label's own response, relative to the shared one"
    )
    library_mean: float = Field(2_000.0, gt=0, description="expected counts of a cell")
    library_sd: float = Field(0.3, ge=0, description="standard deviation of the log of the library")
    theta: float = Field(5.0, gt=0, description="median over features of the inverse dispersion")
    theta_sd: float = Field(0.5, ge=0, description="standard deviation of its log")
    zero_inflation: float = Field(0.0, ge=0, lt=1, description="probability that a count is replaced by zero")

    @field_validator("n_branches")
    @classmethod
    def _directions_fit(cls, n_branches: int, info: ValidationInfo) -> int:
        n_latent = info.data.get("n_latent", n_branches + 1)
        if n_branches and n_branches + 1 > n_latent:
            raise ValueError(
                f"must be below n_latent ({n_latent}): trunk and branches point in directions of their own"
            )
        return n_branches

    @field_validator("label_shares")
    @classmethod
    def _shares_fit(cls, shares: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        n_obs, n_branches = info.data.get("n_obs", len(shares)), info.data.get("n_branches", 0)
        if not all(0 < share < np.inf for share in shares):
            raise ValueError("must be positive numbers")
        if n_branches and len(shares) != n_branches + 1:
            raise ValueError(f"must be {n_branches + 1} numbers, the trunk's and one per branch")
        if len(shares) > n_obs:
            raise ValueError(f"must be at most as many as there are cells (n_obs={n_obs}): each label has at least one")
        return shares


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated cells and the truth behind them. `treated_shift` is what treatment adds to the log rates of a label."""

    adata: AnnData  # X: counts, CSR float32; obs: label, and batch, condition, time as far as simulated
    label: np.ndarray  # (n_obs,) int64; with branches 0 is the trunk
    batch: np.ndarray  # (n_obs,) int64
    treated: np.ndarray  # (n_obs,) bool
    latent: np.ndarray  # (n_obs, n_latent)
    pseudotime: np.ndarray | None  # (n_obs,) in [0, 1]; None without branches
    base: np.ndarray  # (n_vars,) log rate of a feature
    loadings: np.ndarray  # (n_vars, n_latent)
    theta: np.ndarray  # (n_vars,) inverse dispersion
    batch_shift: np.ndarray  # (n_batch, n_vars), added to the log rates
    treated_shift: np.ndarray  # (n_labels, n_vars)
    library: np.ndarray  # (n_obs,) expected counts of a cell, before zero inflation

    @property
    def branch(self) -> np.ndarray | None:
        """0 for the trunk, 1, 2, ... for the branches, (n_obs,); None without branches."""
        return None if self.pseudotime is None else self.label

    def mean(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Means before zero inflation, (n_rows, n_vars); they are computed on demand, 8 bytes each."""
        log_rate = self.base + self.latent[rows] @ self.loadings.T + self.batch_shift[self.batch[rows]]
        log_rate += self.treated[rows, None] * self.treated_shift[self.label[rows]]
        rate = np.exp(log_rate - log_rate.max(axis=1, keepdims=True))
        return self.library[rows, None] * rate / rate.sum(axis=1, keepdims=True)


def simulate(options: SimulateOptions, seed: int) -> Simulation:
    """Simulate cells. The same options and seed give the same cells, values and names included.

    Label sizes are exact: largest remainder, at least one cell each. With branches, pseudotime runs from 0 to 0.4 on
    the trunk and on to 1 on each branch; `obs["time"]` is the nearest of `n_times` collection times. A fifth of the
    features respond to treatment: `treated_shift = treated_strength * (shared + treated_spread * own to the label)`.
    """
    labels, latents, features, batches, treatments, libraries, counts = np.random.default_rng(seed).spawn(7)
    label = _label(options, labels)
    pseudotime = _pseudotime(label, labels) if options.n_branches else None
    latent = _latent(options, label, pseudotime, latents)
    base, loadings, theta = _features(options, latent, features)
    batch = batches.permutation(np.arange(options.n_obs) % options.n_batch)
    treated = treatments.permutation(options.n_obs) < round(options.treated_share * options.n_obs)
    simulation = Simulation(
        adata=_annotated(options, label, batch, treated, pseudotime),
        label=label,
        batch=batch,
        treated=treated,
        latent=latent,
        pseudotime=pseudotime,
        base=base,
        loadings=loadings,
        theta=theta,
        batch_shift=options.batch_strength * batches.standard_normal((options.n_batch, options.n_vars)),
        treated_shift=_treated_shift(options, treatments),
        library=_library(options, libraries),
    )
    simulation.adata.X = _counts(simulation, options.zero_inflation, counts)
    return simulation


def _label(options: SimulateOptions, rng: np.random.Generator) -> np.ndarray:
    shares = np.array(options.label_shares)
    quotas = options.n_obs * shares / shares.sum()
    sizes = apportion(quotas, options.n_obs, np.ones(len(shares), int), np.full(len(shares), options.n_obs))
    return rng.permutation(np.repeat(np.arange(len(shares)), sizes))


def _pseudotime(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    along = rng.random(len(label))
    return np.where(label == 0, _FORK * along, _FORK + (1 - _FORK) * along)


def _latent(
    options: SimulateOptions, label: np.ndarray, pseudotime: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    noise = rng.standard_normal((options.n_obs, options.n_latent))
    if pseudotime is None:
        centres = rng.standard_normal((len(options.label_shares), options.n_latent))
        return options.label_distance * centres[label] + noise
    # columns of an orthogonal matrix: the trunk and the branches leave at right angles
    directions = np.linalg.qr(rng.standard_normal((options.n_latent, options.n_branches + 1)))[0].T
    on_trunk, on_branch = np.minimum(pseudotime, _FORK), np.maximum(pseudotime - _FORK, 0)
    path = on_trunk[:, None] * directions[0] + on_branch[:, None] * directions[label]
    return _PATH * options.label_distance * path + noise


def _features(
    options: SimulateOptions, latent: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    base = _BASE_SD * rng.standard_normal(options.n_vars)
    # divided by the spread of the latent, so that `signal` means the same for any number of dimensions and labels
    scale = options.signal / np.sqrt(latent.var(axis=0).sum())
    loadings = scale * rng.standard_normal((options.n_vars, options.n_latent))
    theta = options.theta * np.exp(options.theta_sd * rng.standard_normal(options.n_vars))
    return base, loadings, theta


def _treated_shift(options: SimulateOptions, rng: np.random.Generator) -> np.ndarray:
    responds = rng.random(options.n_vars) < _RESPONDING
    shared = rng.standard_normal(options.n_vars)
    own = rng.standard_normal((len(options.label_shares), options.n_vars))
    return options.treated_strength * responds * (shared + options.treated_spread * own)


def _library(options: SimulateOptions, rng: np.random.Generator) -> np.ndarray:
    # the log-normal's mean is exp(location + sd^2 / 2); the location makes it library_mean
    location = np.log(options.library_mean) - options.library_sd**2 / 2
    return rng.lognormal(location, options.library_sd, options.n_obs)


def _counts(simulation: Simulation, zero_inflation: float, rng: np.random.Generator) -> sparse.csr_matrix:
    blocks = []
    for start in range(0, len(simulation.label), _BLOCK_ROWS):
        mean = simulation.mean(slice(start, start + _BLOCK_ROWS))
        # a Poisson whose rate is gamma-distributed is negative binomial
        block = rng.poisson(rng.gamma(simulation.theta, mean / simulation.theta)).astype(np.float32)
        if zero_inflation:
            block[rng.random(block.shape) < zero_inflation] = 0
        blocks.append(sparse.csr_matrix(block))
    return sparse.vstack(blocks, format="csr")


def _annotated(
    options: SimulateOptions, label: np.ndarray, batch: np.ndarray, treated: np.ndarray, pseudotime: np.ndarray | None
) -> AnnData:
    n_labels = len(options.label_shares)
    names = [f"type_{k + 1}" for k in range(n_labels)]
    if options.n_branches:
        names = ["trunk", *(f"branch_{k}" for k in range(1, n_labels))]
    obs = pd.DataFrame(index=[f"cell_{row + 1}" for row in range(options.n_obs)])
    obs["label"] = _categorical(label, names)
    if options.n_batch > 1:
        obs["batch"] = _categorical(batch, [f"batch_{k + 1}" for k in range(options.n_batch)])
    if options.treated_share > 0:
        obs["condition"] = _categorical(treated, ["control", "treated"])
    if pseudotime is not None:
        obs["time"] = np.round(pseudotime * (options.n_times - 1)) / (options.n_times - 1)
    return AnnData(obs=obs, var=pd.DataFrame(index=[f"gene_{column + 1}" for column in range(options.n_vars)]))


def _categorical(codes: np.ndarray, names: list[str]) -> "pd.Categorical[str]":
    return pd.Categorical.from_codes(codes.astype(np.int64), categories=pd.Index(names))
