"""Fingerprint: which cells a run was made of, in a few lines of JSON."""

import hashlib

import numpy as np
from scipy import sparse

from cellwright.data.source import StoredSource

SAMPLED_ROWS = 256


def fingerprint(source: StoredSource) -> dict[str, object]:
    """Name, shape and hashes of the cells; the hashes are equal however the same values are stored.

    `features`: SHA-256 of all feature names; `values`: SHA-256 of 256 evenly spread rows and of all that is known of
    every cell (batch, label, condition, time, covariates, coordinates) with the names of the categories.
    """
    features, values = hashlib.sha256(), hashlib.sha256()
    for modality, names in source.schema.features.items():
        features.update("\0".join([modality, *names, ""]).encode())
        for part in _sample(source, modality):
            values.update(part.tobytes())
    values.update(source.schema.model_dump_json(exclude={"features"}).encode())
    cells = source.annotation
    for known in (cells.batch, cells.label, cells.condition, cells.time, cells.covariates, cells.coordinates):
        values.update(np.ascontiguousarray(known).tobytes())
    return {
        "name": source.origin,
        "shape": [source.n_obs, source.schema.n_vars],
        "features": features.hexdigest(),
        "values": values.hexdigest(),
    }


def _sample(source: StoredSource, modality: str) -> list[np.ndarray]:
    rows = np.unique(np.linspace(0, source.n_obs - 1, SAMPLED_ROWS).astype(np.int64))
    block = sparse.csr_matrix(source.read(modality, rows))
    # the width of indices is SciPy's choice and says nothing about the data
    return [block.indptr.astype(np.int64), block.indices.astype(np.int64), block.data]
