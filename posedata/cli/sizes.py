"""Numbers as people read them."""

from __future__ import annotations


def human_bytes(size: float) -> str:
    """Format a number of bytes, e.g. ``1.4 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
