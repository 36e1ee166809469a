"""The store of cut-outs on disk: a writer for the offline half, a reader for the workers."""

from empaste_aug.bank.reader import MaskBank
from empaste_aug.bank.writer import BankWriter

__all__ = ["BankWriter", "MaskBank"]
