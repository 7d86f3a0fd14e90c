"""API keys: who may ask, where a file of keys was given."""

import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.requests import Request

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.regular_file import NotRegular, open_regular
from rexnet_ai_real.serve.problems import Problem

SHORTEST: Final = 16
"""Characters of a key; shorter ones can be guessed."""
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Keys:
    """Keeps hashes alone, so that keys of any length are compared in the same time and none is shown by accident."""

    hashes: tuple[bytes, ...]

    @classmethod
    def read(cls, file: Path) -> "Keys":
        """One key a line; empty lines and those that begin with # are passed over.

        Raises:
            UserError: the file cannot be read, is too long, holds no key, or one that is too short.
        """
        try:
            with open_regular(file) as opened:
                read = opened.read(_MOST_BYTES + 1)
            text = read.decode("ascii")
        except (OSError, NotRegular, UnicodeDecodeError) as error:
            raise UserError(f"--api-keys {file} cannot be read as a text file of ASCII letters: {error}") from error
        if len(read) > _MOST_BYTES:
            raise UserError(f"--api-keys {file} has more than {_MOST_BYTES:,} bytes, the limit: give fewer keys")
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        keys = [(number, line) for number, line in lines if line and not line.startswith("#")]
        if not keys:
            raise UserError(f"--api-keys {file} holds no key: write one a line")
        for number, key in keys:
            if len(key) < SHORTEST:
                raise UserError(f"--api-keys {file}, line {number}: a key has at least {SHORTEST} characters")
        return cls(tuple(_hash(key.encode()) for _, key in keys))

    def check(self, request: Request) -> None:
        """Let a request with one of the keys pass: `Authorization: Bearer KEY`.

        Raises:
            Problem: 401.
        """
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        found = _hash(given.strip().encode("latin-1", "replace"))
        # Every key is compared, so that the time does not tell which one came close.
        matches = [hmac.compare_digest(found, key) for key in self.hashes]
        if scheme.lower() != "bearer" or not any(matches):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Give one of the service's keys in the header Authorization: Bearer KEY.",
                {"WWW-Authenticate": 'Bearer realm="rexnet-ai-real"'},
            )


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
