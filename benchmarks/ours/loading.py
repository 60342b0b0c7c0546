"""Our side of `loading.py`: shuffled minibatches, nothing done with them.

python loading.py '{"data": ..., "in_memory": ..., "batch_size": 128, "seconds": 10}' RESULT  ->  rates, memory (JSON)
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cellwright as cw

sys.path.append(str(Path(__file__).parents[1]))
from memory import peak_bytes


def load(job: dict[str, Any]) -> dict[str, Any]:
    """Passes until the time is over, at least one minibatch."""
    torch.set_num_threads(1)
    source = cw.open_data(job["data"], batch_key="donor", in_memory=job["in_memory"])
    plan, rows = cw.Shuffled(source.preferred_block_rows), np.arange(source.n_obs)
    n_obs, wall, cpu = 0, time.perf_counter(), time.process_time()
    for number in range(1_000):
        for minibatch in source.minibatches(rows, job["batch_size"], plan, np.random.default_rng(number)):
            n_obs += minibatch.n_obs
            if time.perf_counter() - wall > job["seconds"]:
                break
        else:
            continue
        break
    return {
        "cells_per_cpu_second": n_obs / (time.process_time() - cpu),
        "cells_per_second": n_obs / (time.perf_counter() - wall),
        "peak_bytes": peak_bytes(),
        "versions": {"cellwright": version("cellwright"), "torch": torch.__version__},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    Path(sys.argv[2]).write_text(json.dumps(load(json.loads(sys.argv[1]))))
