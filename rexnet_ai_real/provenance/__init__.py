"""What an image's metadata say of its origin: evidence shown beside the detector's probability, never part of it."""

from rexnet_ai_real.provenance.content_credentials import ContentCredentials
from rexnet_ai_real.provenance.evidence import CAVEAT, Evidence, Provenance
from rexnet_ai_real.provenance.reader import read_provenance

__all__ = ["CAVEAT", "ContentCredentials", "Evidence", "Provenance", "read_provenance"]
