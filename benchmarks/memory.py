"""Memory: the most that this process has held; on either side of a comparison."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The peak of the resident memory so far, libraries included."""
    if STATUS.exists():
        # what `getrusage` says on Linux includes the process that started this one
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return 1024 * int(lines["VmHWM"].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
