"""The peers' environment: the interpreter that is given, or a virtual environment made from pinned requirements."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
SCIB_REQUIREMENTS = Path(__file__).with_name("requirements-scib.txt")


def peers_python(given: str | None, folder: Path, requirements: Path = REQUIREMENTS) -> str:
    """The interpreter to run peers with; without `given` it is made once in `folder` (about 2 GB, minutes).

    Like `make`, it takes uv where there is one, and shows it the wheel folder of pip's settings.
    """
    if given is not None:
        return given
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = folder / "ready"
    if ready.exists():
        return str(python)
    print(f"making the peers' environment in {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv:
        links = subprocess.run(
            [str(python), "-m", "pip", "config", "get", "global.find-links"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        environment = {"UV_FIND_LINKS": links, **os.environ} if links else dict(os.environ)
        command = [uv, "pip", "install", "--python", str(python), "-r", str(requirements)]
        subprocess.run(command, env=environment, check=True)
    else:
        subprocess.run([str(python), "-m", "pip", "install", "-r", str(requirements)], check=True)
    ready.touch()
    return str(python)
