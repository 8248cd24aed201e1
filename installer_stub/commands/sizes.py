"""Sizes for people."""


def readable(size: int) -> str:
    """Return ``size`` bytes in the unit that a person would choose: ``1.4 GB`` (powers of 1000, as disks are sold)."""
    if size < 1000:
        return f"{size} bytes"
    number = float(size)
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"
