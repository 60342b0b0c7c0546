"""The peer's side of `inference.py`: `SCVI.get_latent_representation`, in the peers' environment.

python scvi_inference.py '{"data": ..., "repeats": 3}' RESULT  ->  CPU-seconds per cell of each way (JSON)
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path

import anndata
import scvi
import torch

DEFAULT_ROWS, LARGE_ROWS = 128, 2048  # scvi-tools' minibatch and cellwright's


def best_seconds(repeats, function):
    """The least CPU-seconds of a call, after one that fills caches."""
    function()
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        spent.append(time.process_time() - started)
    return min(spent)


@torch.inference_mode()
def infer(job):
    """Time what a user calls, at two sizes of minibatch, and the encoder alone on dense minibatches."""
    torch.set_num_threads(1)
    adata = anndata.read_h5ad(job["data"])
    scvi.model.SCVI.setup_anndata(adata)
    model = scvi.model.SCVI(adata, n_latent=10)
    model.is_trained = True  # the weights do not matter here
    model.module.eval()
    module = model.module
    n_ready = min(adata.n_obs, job["encoder_cells"])
    ready = [
        torch.from_numpy(adata.X[start : min(start + DEFAULT_ROWS, n_ready)].toarray())
        for start in range(0, n_ready, DEFAULT_ROWS)
    ]
    batches = [torch.zeros(len(x), 1, dtype=torch.long) for x in ready]

    def encoder():
        for x, batch in zip(ready, batches, strict=True):
            module.inference(x=x, batch_index=batch)

    def whole(rows):
        return lambda: model.get_latent_representation(adata, batch_size=rows)

    return {
        "as a user calls it": best_seconds(job["repeats"], whole(DEFAULT_ROWS)) / adata.n_obs,
        "minibatches of 2,048": best_seconds(job["repeats"], whole(LARGE_ROWS)) / adata.n_obs,
        "encoder alone": best_seconds(job["repeats"], encoder) / n_ready,
        "versions": {"scvi-tools": scvi.__version__, "torch": torch.__version__},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    Path(sys.argv[2]).write_text(json.dumps(infer(json.loads(sys.argv[1]))))
