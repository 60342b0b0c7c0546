"""The peers' side of `loading.py`: shuffled minibatches, nothing done with them, in the peers' environment.

python loading.py '{"data": ..., "loader": ..., "batch_size": 128, "seconds": 10}' RESULT  ->  rates and memory (JSON)

scvi-tools and AnnLoader hand out dense tensors, the others CSR rows. scDataset is given 64 rows a block and 16,384
cells a fetch, which is what cellwright's plan reads of a plain file; annbatch its own defaults, on its own store.
"""

import json
import logging
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1]))
from memory import peak_bytes

BLOCK_ROWS, FETCH_ROWS = 64, 16_384


def scvi_loader(data, batch_size, backed):
    import anndata
    import scvi

    adata = anndata.read_h5ad(data, backed="r" if backed else None)
    scvi.model.SCVI.setup_anndata(adata, batch_key="donor")
    manager = scvi.model.SCVI._get_most_recent_anndata_manager(adata)
    return scvi.dataloaders.AnnDataLoader(manager, batch_size=batch_size, shuffle=True)


def ann_loader(data, batch_size):
    import anndata
    from anndata.experimental import AnnLoader

    return AnnLoader(anndata.read_h5ad(data, backed="r"), batch_size=batch_size, shuffle=True)


def sc_dataset(data, batch_size):
    import anndata
    import h5py
    from scdataset import BlockShuffling, scDataset
    from torch.utils.data import DataLoader

    matrix = anndata.io.sparse_dataset(h5py.File(data)["X"])
    # it asks for a length
    type(matrix).__len__ = lambda self: self.shape[0]
    dataset = scDataset(matrix, BlockShuffling(BLOCK_ROWS), batch_size, fetch_factor=max(1, FETCH_ROWS // batch_size))
    return DataLoader(dataset, batch_size=None)


def annbatch_loader(data, batch_size):
    import annbatch
    import zarr

    store = Path(data).with_suffix(".annbatch.zarr")
    collection = annbatch.DatasetCollection(zarr.open_group(store, mode="a"))
    if collection.is_empty:
        collection.add_adatas([data], shuffle=True)
    loader = annbatch.Loader(batch_size=batch_size, shuffle=True, preload_to_gpu=False, to_torch=False)
    return loader.use_collection(collection)


def itself(batch):
    return batch


def values(view):
    """AnnLoader hands out views, which read when they are asked for values."""
    return view.X


LOADERS = {
    "scvi-tools, in memory": (lambda data, rows: scvi_loader(data, rows, backed=False), itself, "scvi-tools"),
    "scvi-tools, backed": (lambda data, rows: scvi_loader(data, rows, backed=True), itself, "scvi-tools"),
    "AnnLoader, backed": (ann_loader, values, "anndata"),
    "scDataset, backed": (sc_dataset, itself, "scDataset"),
    "annbatch, own store": (annbatch_loader, itself, "annbatch"),
}


def load(job):
    """Passes until the time is over, at least one minibatch; None where the peer is not installed."""
    torch.set_num_threads(1)
    make, take, package = LOADERS[job["loader"]]
    try:
        versions = {package: version(package)}
    except ImportError:
        return None
    batches = make(job["data"], job["batch_size"])
    n_batches, wall, cpu = 0, time.perf_counter(), time.process_time()
    while (time.perf_counter() - wall) < job["seconds"]:
        for batch in batches:
            take(batch)
            n_batches += 1
            if time.perf_counter() - wall > job["seconds"]:
                break
    n_obs = n_batches * job["batch_size"]
    return {
        "cells_per_cpu_second": n_obs / (time.process_time() - cpu),
        "cells_per_second": n_obs / (time.perf_counter() - wall),
        "peak_bytes": peak_bytes(),
        "versions": versions,
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    Path(sys.argv[2]).write_text(json.dumps(load(json.loads(sys.argv[1]))))
