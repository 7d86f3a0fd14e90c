"""C2PA manifests, the signed history of an image: validated by c2pa-python if it is installed, else only reported."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from rexnet_ai_real.provenance.block import printable

State = Literal["trusted", "valid", "invalid", "not validated"]
"""`trusted`: sound, and signed by a certificate on a trust list. `valid`: sound, the signer on no list. `invalid`: the
image or its history was changed after signing, or the signature is wrong. `not validated`: nothing was checked."""

INSTALL: Final = "install rexnet-ai-real[c2pa] to validate it"

_MEDIA_TYPES: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
    "JXL": "image/jxl",
}
_UNTRUSTED: Final = "signingCredential.untrusted"


@dataclass(frozen=True, slots=True)
class ContentCredentials:
    """What a C2PA manifest store says, and how far it can be trusted."""

    state: State
    where: str
    signer: str | None = None
    """Organisation and name in the certificate that signed the newest manifest."""
    programs: tuple[str, ...] = ()
    """Programs that made claims or took actions, the newest manifest's first."""
    source_types: tuple[str, ...] = ()
    """Digital source types of the actions, as addresses, the newest manifest's first."""
    failures: tuple[str, ...] = ()
    """Codes of the checks that failed (C2PA 2.1, section 15.2)."""
    problem: str | None = None
    """Why nothing was validated."""

    @property
    def summary(self) -> str:
        """One line: state, signer, and what failed."""
        signed = f"signed by {self.signer or 'nobody named'}"
        if self.state == "trusted":
            return f"C2PA manifest, sound, {signed}, who is on a trust list"
        if self.state == "valid":
            return f"C2PA manifest, sound, {signed}, who is on no trust list: anybody can sign so"
        if self.state == "invalid":
            return f"C2PA manifest that does not hold ({', '.join(self.failures)}): changed after it was {signed}"
        return f"C2PA manifest in {self.where}, not validated: {self.problem}"


def read_credentials(data: bytes, kind: str, where: str, trust_anchors: str | None = None) -> ContentCredentials:
    """Validate the manifest store of a file that holds one. Nothing is fetched from the network.

    Args:
        data: the whole file.
        kind: Pillow's name of its format.
        where: the part of the file that holds the store.
        trust_anchors: certificates to trust beside those that c2pa-python brings, in PEM.
    """
    try:
        import c2pa
    except ImportError:
        return ContentCredentials("not validated", where, problem=INSTALL)
    if kind not in _MEDIA_TYPES:
        return ContentCredentials("not validated", where, problem=f"c2pa-python reads no {kind}")
    try:
        with c2pa.Reader(_MEDIA_TYPES[kind], io.BytesIO(data), context=_context(trust_anchors)) as reader:
            report = json.loads(reader.json())
    except (c2pa.C2paError, ValueError) as error:
        return ContentCredentials("not validated", where, problem=f"it cannot be read ({printable(str(error), 120)})")
    return _credentials(report, where)


@lru_cache(maxsize=8)
def _context(trust_anchors: str | None) -> Any:
    import c2pa

    # An image must not make its reader open an address of its choice.
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    if trust_anchors:
        settings["trust"] = {"user_anchors": trust_anchors}
    return c2pa.Context.from_dict(settings)


def _credentials(report: dict[str, Any], where: str) -> ContentCredentials:
    active = report.get("active_manifest")
    manifests = report.get("manifests", {})
    ordered = sorted(manifests, key=lambda label: label != active)  # stable: the active one, then as stored
    signature = manifests.get(active, {}).get("signature_info", {})
    names = [str(signature[key]) for key in ("issuer", "common_name") if signature.get(key)]
    codes = [str(status.get("code")) for status in report.get("validation_status", [])]
    state: State = {"Trusted": "trusted", "Valid": "valid"}.get(str(report.get("validation_state")), "invalid")  # type: ignore[assignment]
    return ContentCredentials(
        state,
        where,
        signer=printable(", ".join(dict.fromkeys(names))) or None,
        programs=_unique(program for label in ordered for program in _programs(manifests[label])),
        source_types=_unique(
            str(action["digitalSourceType"])
            for label in ordered
            for action in _actions(manifests[label])
            if action.get("digitalSourceType")
        ),
        failures=_unique(code for code in codes if code != _UNTRUSTED) if state == "invalid" else (),
    )


def _programs(manifest: dict[str, Any]) -> Iterator[str]:
    """Names in the claim (version 1: a text; version 2: a list) and in the actions."""
    if manifest.get("claim_generator"):
        yield str(manifest["claim_generator"])
    for program in manifest.get("claim_generator_info") or []:
        yield _name(program)
    for action in _actions(manifest):
        if action.get("softwareAgent"):
            yield _name(action["softwareAgent"])


def _name(program: Any) -> str:
    if not isinstance(program, dict):
        return str(program)
    return " ".join(str(program[key]) for key in ("name", "version") if program.get(key))


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            data = assertion.get("data")
            actions = data.get("actions") if isinstance(data, dict) else None
            yield from (action for action in actions or [] if isinstance(action, dict))


def _unique(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
