"""The label contract on scenes that hypothesis looks for; a failing one is shrunk and printed."""

from __future__ import annotations

import contract
import pytest
from contract import Case, Paste, Thing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SHARES = (0.0, 0.1, 0.55, 0.6, 1.0)
ROWS = len(contract.tiny_alphas())


@st.composite
def things(draw, height: int, width: int) -> Thing:
    """Anywhere in the image and a little outside; boxes also at halves and without extent."""
    kind = draw(st.sampled_from(["rect", "box", "frame", "comb", "none"]))
    step = 2 if kind == "box" else 1
    x0 = draw(st.integers(-3 * step, (width + 3) * step))
    y0 = draw(st.integers(-3 * step, (height + 3) * step))
    w = draw(st.integers(0, (width + 3) * step))
    h = draw(st.integers(0, (height + 3) * step))
    box = tuple(side / step for side in (x0, y0, x0 + w, y0 + h))
    point = st.tuples(
        st.integers(-3, 2 * width + 3).map(lambda v: v / 2),
        st.integers(-3, 2 * height + 3).map(lambda v: v / 2),
        st.integers(0, 2),
    )
    keypoints = draw(st.none() | st.lists(point, max_size=3).map(tuple))
    return Thing(kind, box, crowd=draw(st.booleans()), keypoints=keypoints)


@st.composite
def pastes(draw, height: int, width: int, *, blends=("none", "gaussian")) -> Paste:
    exact = draw(st.booleans())
    return Paste(
        row=draw(st.integers(0, ROWS - 1)),
        x=draw(st.integers(-12, width + 2)),
        y=draw(st.integers(-12, height + 2)),
        turns=draw(st.integers(0, 3)),
        flip=draw(st.booleans()),
        scale=1.0 if exact else draw(st.sampled_from([1e-4, 0.02, 0.3, 0.5, 1.5, 2.0, 9.0])),
        angle=0.0 if exact else draw(st.sampled_from([0.0, 1.0, 45.0, -30.0])),
        blend=draw(st.sampled_from(blends)),
    )


@st.composite
def cases(draw) -> Case:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    stack = draw(st.lists(pastes(height, width), max_size=6))
    if stack and draw(st.booleans()):  # the same again, on top
        stack.append(draw(st.sampled_from(stack)))
    return Case(
        height,
        width,
        tuple(draw(st.lists(things(height, width), max_size=4))),
        tuple(stack),
        min_visible=draw(st.sampled_from(SHARES)),
        valid_rows=draw(st.none() | st.integers(0, height)),
        trim=draw(st.booleans()),
        maps=draw(st.booleans()),
        readonly=draw(st.booleans()),
    )


@pytest.fixture(scope="module")
def paste_of(tiny_paste):
    """EMPaste for each of SHARES."""
    return {share: tiny_paste(min_visible=share) for share in SHARES}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_any_scene_agrees_with_brute_force(paste_of, case: Case) -> None:
    contract.check_case(paste_of[case.min_visible], case)


@st.composite
def exact_stacks(draw) -> Case:
    """One original, and exact pastes within a few pixels of each other: masks by hand only."""
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    stack = [
        Paste(
            row=draw(st.integers(0, ROWS - 1)),
            x=draw(st.integers(-3, 6)),
            y=draw(st.integers(-3, 6)),
            turns=draw(st.integers(0, 3)),
        )
        for _ in range(draw(st.integers(2, 5)))
    ]
    return Case(
        height,
        width,
        tuple(draw(st.lists(things(height, width), min_size=1, max_size=2))),
        tuple(stack),
        min_visible=draw(st.sampled_from(SHARES)),
        maps=True,
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=exact_stacks())
def test_piles_of_pastes_agree_with_brute_force(paste_of, case: Case) -> None:
    contract.check_case(paste_of[case.min_visible], case)
