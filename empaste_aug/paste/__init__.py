"""The online core: select, place, render, annotate; `compose.EMPaste` is what adapters call."""

from empaste_aug.paste.compose import EMPaste

__all__ = ["EMPaste"]
