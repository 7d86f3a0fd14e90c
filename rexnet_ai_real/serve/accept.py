"""Which type of answer a request prefers, by its header Accept (RFC 9110, section 12.5.1)."""


def prefers(media_type: str, other: str, accept: str) -> bool:
    """Whether `accept` names the type itself, and no less than the other one, which is the usual answer."""
    given = dict(_parsed(part) for part in accept.lower().split(","))
    quality = given.get(media_type, 0.0)
    return quality > 0 and quality >= given.get(other, 0.0)


def _parsed(part: str) -> tuple[str, float]:
    """The media type and its quality; one that cannot be read is none."""
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    quality = next((piece.removeprefix("q=") for piece in parameters if piece.startswith("q=")), "1")
    try:
        return media_type, float(quality)
    except ValueError:
        return media_type, 0.0
