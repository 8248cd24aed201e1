"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def describe(directory: Path) -> str:
    """Return a line about this machine; ``directory`` is on the disk that is written to."""
    model = _field("/proc/cpuinfo", "model name", ":") or platform.machine()
    memory = int((_field("/proc/meminfo", "MemTotal", ":") or "0").split()[0]) / 1e6
    system = _field("/etc/os-release", "PRETTY_NAME", "=").strip('"') or platform.system()
    asked = ["df", "--output=fstype", str(directory)]
    disk = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()[-1:]
    hardware = f"{os.cpu_count()} CPUs ({' '.join(model.split())}), {memory:.1f} GB of memory, {' '.join(disk)}"
    return f"{hardware}; {system}, Linux {platform.release()}, Python {platform.python_version()}"


def load() -> float:
    """Return how many processes wanted to run, on average, in the last minute."""
    return os.getloadavg()[0]


def _field(path: str, name: str, separator: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    found = (line.partition(separator) for line in lines)
    return next((value.strip() for key, _, value in found if key.strip() == name), "")
