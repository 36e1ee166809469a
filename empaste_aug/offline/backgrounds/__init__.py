"""From photos to a pool of backgrounds (paper, 3.2): the stages, and the build that runs them."""

from empaste_aug.offline.backgrounds.build import BackgroundBuild, build_backgrounds
from empaste_aug.offline.backgrounds.settings import SOURCES, STAGES, PoolSettings

__all__ = ["SOURCES", "STAGES", "BackgroundBuild", "PoolSettings", "build_backgrounds"]
