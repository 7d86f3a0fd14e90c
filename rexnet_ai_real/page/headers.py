"""What a server says with every file of the page: who may read it, and that nothing is asked of anyone else."""

from collections.abc import Mapping
from typing import Final

PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",  # the second: the engine is WebAssembly, and nothing else is evaluated
        "worker-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob:",  # images that the visitor chose, shown from memory
        "style-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""Content-Security-Policy (level 3), which the page carries itself, too: not every host sends headers."""

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
