"""What an image's metadata say of its origin: evidence shown beside the detector's probability, never part of it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rexnet_ai_real.provenance.content_credentials import ContentCredentials as ContentCredentials
    from rexnet_ai_real.provenance.evidence import CAVEAT as CAVEAT
    from rexnet_ai_real.provenance.evidence import Evidence as Evidence
    from rexnet_ai_real.provenance.evidence import Provenance as Provenance
    from rexnet_ai_real.provenance.reader import read_provenance as read_provenance

__all__ = ["CAVEAT", "ContentCredentials", "Evidence", "Provenance", "read_provenance"]


def __getattr__(name: str) -> object:
    # Imported when first asked for: Ctrl-C while Pillow is loaded must end the command in one line, not in a trace.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rexnet_ai_real.provenance import content_credentials, evidence, reader

    return next(getattr(module, name) for module in (reader, evidence, content_credentials) if hasattr(module, name))
