"""Write: an AnnData as the bytes of its `.h5ad`."""

import h5py
from anndata import AnnData
from anndata.io import write_elem


def h5ad_bytes(adata: AnnData, *, compression: str | None = None) -> bytes:
    """The file as it will be, for obs and latents; strings of `adata` become categories, as everywhere in `.h5ad`.

    `compression` is a filter of HDF5 (`gzip`) for all arrays.

    Made in memory: HDF5 that meets a full disk while it writes brings the whole process down with it.
    """
    adata.strings_to_categoricals()
    with h5py.File("cells.h5ad", "w", driver="core", backing_store=False) as file:
        write_elem(file, "/", adata, dataset_kwargs={"compression": compression} if compression else {})
        file.flush()
        return bytes(file.id.get_file_image())
