"""What a tool says of a long tail: its sizes, and which classes are far from theirs."""

from __future__ import annotations

from empaste_aug.offline.longtail.subset import LongTail

_SHARE = 0.25
_LEAST = 3
_NAMED = 5


def table(choice: LongTail) -> list[str]:
    """A line for each class, the largest first: available, target and reached."""
    lines = [f"{choice.counted:<24} available    target   reached"]
    lines += [
        f"{row['name']:<24} {row['available']:9,} {row['target']:9,} {row['reached']:9,}"
        for row in choice.as_json()["classes"]
    ]
    return lines


def misses(choice: LongTail) -> str | None:
    """Which classes are far over or under their target, and why; None where none is.

    Far is by three or more and by more than a quarter of the target. The furthest come first.
    """
    parts = []
    for sign, called in ((1, "far over"), (-1, "far under")):
        off = {
            place: sign * (choice.reached[place] - choice.targets[place]) / choice.targets[place]
            for place in choice.ranked()
            if sign * (choice.reached[place] - choice.targets[place]) >= _LEAST
        }
        far = sorted((place for place in off if off[place] > _SHARE), key=lambda p: -off[p])
        if far:
            named = [
                f"{choice.class_names[p]} ({choice.reached[p]:,} for {choice.targets[p]:,})"
                for p in far[:_NAMED]
            ]
            more = [f"{len(far) - _NAMED} more"] if len(far) > _NAMED else []
            parts.append(f"{called} the target: {', '.join(named + more)}")
    if not parts:
        return None
    return (
        f"{'; '.join(parts)}. Photos stay whole: one that a class needs brings its other objects "
        "along, and one that would bring too many is left out"
    )
