"""Our side of `integration_metrics.py`: the whole table of one embedding, from arrays to rows.

python integration_metrics.py '{"data": ...}' RESULT  ->  seconds, CPU-seconds, memory, values (JSON)
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cellwright.tasks.score_integration import score_integration

sys.path.append(str(Path(__file__).parents[1]))
from memory import peak_bytes


def score(job: dict) -> dict:
    """The imports above are not in the time; those that the metrics make when they are first asked are."""
    given = np.load(job["data"])
    wall, cpu = time.perf_counter(), time.process_time()
    table = score_integration(
        given["latent"], labels=given["labels"], batches=given["batches"], before=given["latent_before"]
    )
    return {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_bytes": peak_bytes(),
        "values": table[table["group"] == ""].set_index("metric")["value"].to_dict(),
        "versions": {"cellwright": version("cellwright")},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    Path(sys.argv[2]).write_text(json.dumps(score(json.loads(sys.argv[1]))))
