"""A plot of a long tail's class sizes."""

from __future__ import annotations

from io import BytesIO

from empaste_aug.offline.longtail.subset import LongTail
from empaste_aug.types import MissingDependencyError

_NAMED = 150
_BAR_INCHES = 0.28
_AXES_INCHES = 3.2
_LETTER_INCHES = 0.07


def plot_sizes(choice: LongTail, *, title: str = "") -> bytes:
    """A PNG of every class that has any, the largest first: available, target and reached.

    The sizes' axis is logarithmic. Up to 150 classes are named. The same choice gives the same
    bytes with the same release of matplotlib.

    Args:
        choice: a long-tailed choice.
        title: shown above.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "offline", "the plot of class sizes") from error
    order = choice.ranked()
    places = list(range(len(order)))
    width = min(30.0, max(6.0, 1.5 + _BAR_INCHES * len(order)))
    names = [choice.class_names[place] for place in order] if len(order) <= _NAMED else []
    below = 0.3 + _LETTER_INCHES * max(map(len, names), default=4)
    height = _AXES_INCHES + below + 0.4
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.8 / width, below / height, 1 - 1.0 / width, _AXES_INCHES / height))
    available, targets, reached = (
        [values[place] for place in order]
        for values in (choice.available, choice.targets, choice.reached)
    )
    axes.bar(places, available, width=0.85, color="0.85", label="available")
    axes.bar(places, reached, width=0.6, color="tab:blue", label="reached")
    axes.step(places, targets, where="mid", color="tab:red", linewidth=1.5, label="target")
    axes.set_yscale("log")
    axes.set_ylim(0.7, 1.3 * max(available))
    axes.set_xlim(-0.7, len(order) - 0.3)
    axes.set_ylabel(choice.counted)
    if names:
        axes.set_xticks(places, names, rotation=90, fontsize=8)
    else:
        axes.set_xlabel("rank")
    axes.set_title(title, fontsize=10)
    axes.legend(framealpha=0.95)
    target = BytesIO()
    figure.savefig(target, format="png", dpi=120, metadata={"Software": None})
    return target.getvalue()
