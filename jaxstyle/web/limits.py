"""How much a visitor may ask for."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a visitor may ask for."""

    max_upload: int = 32_000_000
    """Bytes of an uploaded picture."""
    max_pixels: int = 50_000_000
    """Pixels of an uploaded picture."""
    max_result: int = 12_000_000
    """Pixels of a result, and of a painting as it is seen."""
    max_mask: int = 4_000_000
    """Pixels of a mask."""
    max_styles: int = 6
    """Paintings that are mixed."""
    max_queue: int = 32
    """Runs that may wait."""
    max_own: int = 12
    """Runs of a visitor that may wait."""
    max_seconds: int = 1800
    """Seconds after which a run is stopped, and its picture kept."""
    max_sessions: int = 64
    """Visitors at a time."""
    max_files: int = 24
    """Pictures and results that are kept for a visitor; the oldest results go first."""
    max_bytes: int = 2_000_000_000
    """Bytes that are kept for a visitor; the oldest results go first."""
    max_connections: int = 512
    """Connections at a time, of all visitors: a browser has up to seven."""
    keep_seconds: int = 3600
    """Seconds after a visitor's last action when all that is theirs is deleted."""
    grace_seconds: float = 20.0
    """Seconds that a run goes on after its visitor has left."""
