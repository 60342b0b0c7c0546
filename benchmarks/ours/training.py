"""Our side of `training.py`: `cellwright.fit` of a VAE that starts from the peer's initial weights.

    python training.py '{"data": ..., ...}' RESULT  ->  CPU-seconds and validation ELBO of every epoch (JSON)

The ELBO is the validation loss in the history of the fit. The peer's final weights are evaluated here as well: both
sides must mean the same by an ELBO.
"""

import itertools
import json
import sys
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cellwright as cw
from cellwright.core.objective import Step
from cellwright.data.source import StoredSource
from cellwright.train.infer import over_cells

VALIDATION_ROWS = 1024  # of a minibatch when `fit` validates
LINEAR = {
    "encoder.trunk.layers.0": "z_encoder.encoder.fc_layers.Layer 0.0",
    "decoder.trunk.layers.0": "decoder.px_decoder.fc_layers.Layer 0.0",
}
NORM = {
    "encoder.trunk.layers.1": "z_encoder.encoder.fc_layers.Layer 0.1",
    "decoder.trunk.layers.1": "decoder.px_decoder.fc_layers.Layer 0.1",
}


class WatchedVAE(cw.VAE):
    """A VAE that notes when the loop begins and ends an epoch: it is then set to training and to evaluation."""

    def __init__(self, schema: cw.Schema, options: cw.VAEOptions) -> None:
        self.started: tuple[float, float] | None = None
        self.cpu_seconds: list[float] = []
        self.wall_seconds: list[float] = []
        super().__init__(schema, options)

    def train(self, mode: bool = True) -> "WatchedVAE":  # noqa: FBT001, FBT002  torch's signature
        now = time.process_time(), time.perf_counter()
        if mode:
            self.started = now
        elif self.started is not None:
            self.cpu_seconds.append(now[0] - self.started[0])
            self.wall_seconds.append(now[1] - self.started[1])
            self.started = None
        super().train(mode)
        return self


def weights_of_peer(peer: Mapping[str, np.ndarray], likelihood: str) -> dict[str, torch.Tensor]:
    """The state dict of a `WatchedVAE` with the weights of the peer."""
    state: dict[str, np.ndarray] = {}
    for ours, theirs in NORM.items():
        names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        state |= {f"{ours}.{name}": peer[f"{theirs}.{name}"] for name in names}
    for (ours, theirs), norm in zip(LINEAR.items(), NORM, strict=True):
        state[f"{ours}.weight"] = peer[f"{theirs}.weight"]
        # ours has no bias before batch normalisation, which takes it away; the peer's running mean has it in it
        state[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - peer[f"{theirs}.bias"]
    state["encoder.trunk.layers.0.weight"] = state["encoder.trunk.layers.0.weight"].T
    for name in ("weight", "bias"):
        state[f"encoder.out.{name}"] = np.concatenate(
            [peer[f"z_encoder.{part}_encoder.{name}"] for part in ("mean", "var")]
        )
        state[f"decoder.head.share.{name}"] = peer[f"decoder.px_scale_decoder.0.{name}"]
        if likelihood == "zinb":
            state[f"decoder.head.dropout_logits.{name}"] = peer[f"decoder.px_dropout_decoder.{name}"]
    state["decoder.head.log_theta"] = peer["px_r"]
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def validation_noise(rows: np.ndarray, n_latent: int) -> np.ndarray:
    """The noise that `fit` draws for these cells when it validates, (n_rows, n_latent)."""
    blocks = np.split(rows, np.arange(VALIDATION_ROWS, len(rows), VALIDATION_ROWS))
    return np.concatenate(
        [Step.evaluation(i).noise.normal(torch.from_numpy(b), n_latent).numpy() for i, b in enumerate(blocks)]
    )


@torch.no_grad()
def negative_elbo(model: cw.VAE, source: StoredSource, rows: np.ndarray) -> float:
    """Nats per cell of `rows`."""
    index = itertools.count()
    model.eval()
    cells = over_cells(
        lambda minibatch: model.negative_elbo(minibatch, Step.evaluation(next(index))).per_cell,
        source,
        rows,
        VALIDATION_ROWS,
    )
    return float(cells.astype(np.float64).mean())


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Train as the job says; what the result file holds."""
    torch.set_num_threads(1)
    source = cw.open_data(job["data"], in_memory=True)
    rows = np.arange(source.n_obs)
    split = cw.Split(train=rows[: job["n_train"]], validation=rows[job["n_train"] :], test=rows[:0])
    likelihood = {"nb": cw.NegativeBinomial(), "zinb": cw.ZINB()}[job["likelihood"]]
    model = WatchedVAE(source.schema, cw.VAEOptions(likelihood=likelihood, **job["model"]))
    weights = {
        name: weights_of_peer(np.load(job[f"{name}_weights"]), job["likelihood"]) for name in ("initial", "final")
    }
    # beside them stands what a VAE learns after its training, to generate
    model.load_state_dict({**model.state_dict(), **weights["initial"]})
    model.fitted = True  # so that `fit` goes on from these weights
    options = cw.FitOptions(
        max_epochs=job["epochs"],
        batch_size=job["batch_size"],
        seed=job["seed"],
        precision=job["precision"],
        patience=job["epochs"],
        min_improvement=0,
        gradient_clip=None,
        device="cpu",
    )
    history = cw.fit(model, source, options, split=split, progress=False).table
    validation = history[(history["split"] == "validation") & (history["term"] == "loss")]
    model.load_state_dict({**model.state_dict(), **weights["final"]})
    return {
        "cpu_seconds": model.cpu_seconds,
        "wall_seconds": model.wall_seconds,
        "elbo": validation["value"].tolist(),
        "elbo_of_peer": negative_elbo(model, source, split.validation),
        "versions": {"cellwright": version("cellwright"), "torch": torch.__version__},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    Path(sys.argv[2]).write_text(json.dumps(train(json.loads(sys.argv[1]))))
