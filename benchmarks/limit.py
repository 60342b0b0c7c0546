"""Limit: the time of the matrix products alone, at the rate of the machine's own library, one thread.

    python limit.py '{"n_vars": 2000, "batch_size": 128, ...}' RESULT  ->  seconds per cell (JSON)

A step of the VAE cannot do without the products of the decoder's head, which are dense: h W (forward), dL W^T (gradient
by h) and h^T dL (gradient by W); ZINB has two such layers. The products of the encoder's first layer are counted by the
values that are not zero: the density times the time of the dense ones, in fp32. Layers between (128 x 10) are left out.
Nothing else is in it: no softmax, no likelihood, no optimiser.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
N_HIDDEN = 128
SECONDS_PER_PRODUCT = 1.0  # the best of the runs that fit into it is taken


def product_seconds(m: int, k: int, n: int, dtype: torch.dtype) -> float:
    """CPU-seconds of one product (m, k) @ (k, n), the best of many."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(m, k, generator=generator).to(dtype)
    b = torch.randn(k, n, generator=generator).to(dtype)
    out = torch.empty(m, n, dtype=dtype)
    best, until = float("inf"), time.perf_counter() + SECONDS_PER_PRODUCT
    while time.perf_counter() < until:
        started = time.process_time()
        torch.mm(a, b, out=out)
        best = min(best, time.process_time() - started)
    return best


def limits(n_vars: int, batch_size: int, heads: int, density: float) -> dict[str, float]:
    """Seconds per cell: `training_fp32`, `training_bf16` (head in bf16), `inference_fp32`; and the rates in Gflop/s."""
    rows, hidden = batch_size, N_HIDDEN
    found: dict[str, float] = {}
    forward_encoder = density * product_seconds(rows, n_vars, hidden, torch.float32)
    # the gradient by the weights; the one by the input is not needed
    backward_encoder = density * product_seconds(n_vars, rows, hidden, torch.float32)
    found["inference_fp32"] = forward_encoder / rows
    for name, dtype in DTYPES.items():
        head = (
            product_seconds(rows, hidden, n_vars, dtype)
            + product_seconds(rows, n_vars, hidden, dtype)
            + product_seconds(hidden, rows, n_vars, dtype)
        )
        found[f"training_{name}"] = (heads * head + forward_encoder + backward_encoder) / rows
        found[f"gflops_{name}"] = 3 * 2 * rows * hidden * n_vars / head / 1e9
    return found


def main(job: dict[str, Any]) -> dict[str, float]:
    """The limits that the job asks for."""
    torch.set_num_threads(1)
    return limits(job["n_vars"], job["batch_size"], job["heads"], job["density"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(sys.argv[1]))))
