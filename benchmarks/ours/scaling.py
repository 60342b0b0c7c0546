"""One case of `scaling.py`: the VAE trained on a file, in memory or streamed.

python scaling.py '{"data": ..., "in_memory": ..., "batch_size": 1024, "epochs": 1}' RESULT  ->  cost and memory (JSON)
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import cellwright as cw

sys.path.append(str(Path(__file__).parents[1]))
from memory import peak_bytes


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Cost per cell and epoch of a whole `fit`, its check of all values and its validation included."""
    torch.set_num_threads(1)
    source = cw.open_data(job["data"], in_memory=job["in_memory"])
    small = cw.open_data(cw.simulate(cw.SimulateOptions(n_obs=2_100, n_vars=source.schema.n_vars), seed=0).adata)
    fit(small, job["batch_size"], epochs=1)  # loads libraries and compiles
    wall, cpu = time.perf_counter(), time.process_time()
    fit(source, job["batch_size"], job["epochs"])
    n_obs = source.n_obs * job["epochs"]
    return {
        "cpu_seconds_per_million": 1e6 * (time.process_time() - cpu) / n_obs,
        "seconds_per_million": 1e6 * (time.perf_counter() - wall) / n_obs,
        "peak_bytes": peak_bytes(),
        "versions": {"cellwright": version("cellwright"), "torch": torch.__version__},
    }


def fit(source: Any, batch_size: int, epochs: int) -> None:
    """Train for so many epochs."""
    model = cw.VAE(source.schema, cw.VAEOptions())
    cw.fit(model, source, cw.FitOptions(max_epochs=epochs, batch_size=batch_size, device="cpu"), progress=False)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    Path(sys.argv[2]).write_text(json.dumps(train(json.loads(sys.argv[1]))))
