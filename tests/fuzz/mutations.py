"""Inputs for the targets: sound files with a few changes, as Hypothesis draws and shrinks them."""

from hypothesis import strategies as st

from tests.fuzz.targets import seeds

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@st.composite
def damaged(draw: st.DrawFn, target: str) -> bytes:
    """A seed of a target after up to eight changes: bytes, numbers, cuts, repetitions, pieces of other seeds."""
    data = bytearray(draw(st.sampled_from(seeds()[target])))
    for _ in range(draw(st.integers(0, 8))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        change = draw(st.integers(0, 6))
        if change == 0:
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == 1:
            width = draw(st.sampled_from((1, 2, 4, 8)))
            number = draw(st.sampled_from(_NUMBERS)) & ((1 << 8 * width) - 1)
            data[place : place + width] = number.to_bytes(width, draw(st.sampled_from(("big", "little"))))
        elif change == 2:
            del data[place : place + draw(st.integers(1, 64))]
        elif change == 3:
            data[place:place] = draw(st.binary(max_size=32))
        elif change == 4:
            data[place:place] = data[place : place + draw(st.integers(1, 256))] * draw(st.integers(1, 40))
        elif change == 5:
            other = draw(st.sampled_from(seeds()[target]))
            start = draw(st.integers(0, len(other) - 1))
            data[place : place + draw(st.integers(0, 64))] = other[start : start + draw(st.integers(1, 200))]
        else:
            del data[place:]
    return bytes(data)
