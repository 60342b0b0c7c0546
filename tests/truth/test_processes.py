"""Two processes train what one trains; slow, because each process imports torch."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.run import Run

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, torch, cellwright as cw
torch.set_num_threads(1)
data = cw.open_data(sys.argv[1])
model = cw.build(sys.argv[4], data.schema, n_latent=3)
options = cw.FitOptions(max_epochs=6, batch_size=48, validation=0.2, device="cpu", devices=int(sys.argv[3]))
cw.fit(model, data, options, run=sys.argv[2], progress=False)
"""


def trained(folder, n_processes, name):
    (folder / "script.py").write_text(SCRIPT)
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"] if n_processes > 1 else []
    )
    out = folder / f"run-{n_processes}"
    arguments = [str(folder / "script.py"), str(folder / "cells.h5ad"), str(out), str(n_processes), name]
    subprocess.run([sys.executable, *launcher, *arguments], check=True, timeout=300)
    assert Run(out).record.status == "done"
    assert Run(out).verify() == []
    return load_file(out / "model.safetensors")


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    """The linear autoencoder has no statistics of a minibatch, so that the mathematics allows equality."""
    simulate(SimulateOptions(n_obs=240, n_vars=30), seed=0).adata.write_h5ad(tmp_path / "cells.h5ad")
    one, two = trained(tmp_path, 1, "linear_ae"), trained(tmp_path, 2, "linear_ae")
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-4, atol=1e-6)
