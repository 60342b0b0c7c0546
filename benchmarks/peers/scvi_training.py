"""The peer's side of `training.py`: scvi-tools' SCVI, in the peers' environment.

    python scvi_training.py '{"data": ..., ...}' RESULT  ->  CPU-seconds and validation ELBO of every epoch (JSON)

The ELBO comes from the module's own `inference`, `generative` and `loss`, with the noise that the other side has, too.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path

import anndata
import lightning.pytorch as pl
import numpy as np
import scvi
import torch

BLOCK_ROWS = 1024


class Watch(pl.Callback):
    """Takes the time of every epoch and evaluates after it, outside that time."""

    def __init__(self, module, x, noise):
        self.module, self.x, self.noise = module, x, noise
        self.cpu_seconds, self.wall_seconds, self.elbo = [], [], []

    def on_train_epoch_start(self, trainer, plan):
        self.started = time.process_time(), time.perf_counter()

    def on_train_epoch_end(self, trainer, plan):
        self.cpu_seconds.append(time.process_time() - self.started[0])
        self.wall_seconds.append(time.perf_counter() - self.started[1])
        self.elbo.append(self.negative_elbo())

    @torch.no_grad()
    def negative_elbo(self):
        """Nats per validation cell."""
        self.module.eval()
        total = 0.0
        for start in range(0, self.x.shape[0], BLOCK_ROWS):
            x = torch.from_numpy(self.x[start : start + BLOCK_ROWS].toarray())
            batch = torch.zeros(len(x), 1, dtype=torch.long)
            inferred = self.module.inference(x=x, batch_index=batch)
            inferred["z"] = inferred["qz"].loc + inferred["qz"].scale * self.noise[start : start + BLOCK_ROWS]
            generated = self.module.generative(z=inferred["z"], library=inferred["library"], batch_index=batch)
            total += float(self.module.loss({"X": x}, inferred, generated, kl_weight=1.0).loss) * len(x)
        self.module.train()
        return total / self.x.shape[0]


def train(job):
    """Train as the job says; what the result file holds."""
    torch.set_num_threads(1)
    scvi.settings.seed = job["seed"]
    adata = anndata.read_h5ad(job["data"])
    n_train, batch_size = job["n_train"], job["batch_size"]
    scvi.model.SCVI.setup_anndata(adata)
    model = scvi.model.SCVI(adata, gene_likelihood=job["likelihood"], **job["model"])
    watch = Watch(model.module, adata.X[n_train:], torch.from_numpy(np.load(job["noise"])))
    save_weights(model.module, job["initial_weights"])
    rows = np.arange(adata.n_obs)
    model.train(
        max_epochs=job["epochs"],
        batch_size=batch_size,
        accelerator="cpu",
        plan_kwargs=job["plan"],
        datasplitter_kwargs={"external_indexing": [rows[:n_train], rows[n_train:]]},
        callbacks=[watch],
        enable_progress_bar=False,
    )
    save_weights(model.module, job["final_weights"])
    return {
        "cpu_seconds": watch.cpu_seconds,
        "wall_seconds": watch.wall_seconds,
        "elbo": watch.elbo,
        "versions": {"scvi-tools": scvi.__version__, "torch": torch.__version__},
    }


def save_weights(module, path):
    """Weights by their names in the peer."""
    np.savez(path, **{name: value.numpy() for name, value in module.state_dict().items()})


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    Path(sys.argv[2]).write_text(json.dumps(train(json.loads(sys.argv[1]))))
