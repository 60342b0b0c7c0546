"""Our side of `inference.py`: the latent of every cell.

python inference.py '{"data": ..., "repeats": 3}' RESULT  ->  CPU-seconds of each way (JSON), the best of the repeats
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import torch

import cellwright as cw
from cellwright.data.source import in_order
from cellwright.train.infer import BLOCK_ROWS, over_cells


def best_seconds(repeats: int, function: Callable[[], Any]) -> float:
    """The least CPU-seconds of a call, after one that compiles and fills caches."""
    function()
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        spent.append(time.process_time() - started)
    return min(spent)


@torch.no_grad()
def infer(job: dict[str, Any]) -> dict[str, Any]:
    """Time what a user calls, the pass over the cells, and the encoder alone."""
    torch.set_num_threads(1)
    adata = anndata.read_h5ad(job["data"])
    source = cw.open_data(adata)
    model = cw.VAE(source.schema, cw.VAEOptions()).eval()
    model.fitted = True  # the weights do not matter here
    minibatches = list(in_order(source, np.arange(min(adata.n_obs, job["encoder_cells"])), BLOCK_ROWS))
    latent = cw.reduce(model, adata).obsm["X_vae"]
    if latent.shape != (adata.n_obs, model.options.n_latent) or not np.isfinite(latent).all():
        raise SystemExit(f"the latent must be finite, of {adata.n_obs} cells; it is {latent.shape}.")
    return {
        "as a user calls it": best_seconds(job["repeats"], lambda: cw.reduce(model, adata)) / adata.n_obs,
        "over opened cells": best_seconds(job["repeats"], lambda: over_cells(model.encode, source)) / adata.n_obs,
        "encoder alone": best_seconds(job["repeats"], lambda: [model.encode(m) for m in minibatches])
        / sum(m.n_obs for m in minibatches),
        "versions": {"cellwright": version("cellwright"), "torch": torch.__version__},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    Path(sys.argv[2]).write_text(json.dumps(infer(json.loads(sys.argv[1]))))
