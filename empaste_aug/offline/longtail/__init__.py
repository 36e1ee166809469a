"""Long tails: subsets whose class sizes follow a Pareto density (paper 4.4 and appendix 11).

Classes are sorted by their number of masks, and each is subsampled so that the sizes follow
f(x, b) = b / x^(b + 1), rescaled between a maximum and a minimum: `Pareto`. `long_tail_subset`
chooses photos of a data set, and `write_subset` writes them as a data set of the same kind;
`long_tail_bank` chooses cut-outs of a bank.
"""

from empaste_aug.offline.longtail.bank import bank_of_photos, long_tail_bank
from empaste_aug.offline.longtail.choice import choose_photos
from empaste_aug.offline.longtail.files import write_subset
from empaste_aug.offline.longtail.plot import plot_sizes
from empaste_aug.offline.longtail.sizes import Pareto
from empaste_aug.offline.longtail.subset import LongTail, long_tail_subset

__all__ = [
    "LongTail",
    "Pareto",
    "bank_of_photos",
    "choose_photos",
    "long_tail_bank",
    "long_tail_subset",
    "plot_sizes",
    "write_subset",
]
