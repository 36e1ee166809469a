"""Fixtures of the label contract's tests."""

from __future__ import annotations

import contract
import pytest

from empaste_aug import EMPaste


@pytest.fixture(scope="session")
def tiny_bank(tmp_path_factory: pytest.TempPathFactory):
    """The bank of `contract.tiny_alphas`."""
    return contract.write_tiny_bank(tmp_path_factory.mktemp("banks") / "tiny")


@pytest.fixture(scope="session")
def tiny_paste(tiny_bank):
    """EMPaste on the tiny bank: called with its settings."""

    def make(**settings) -> EMPaste:
        return EMPaste(tiny_bank, semantic_labels=contract.SEMANTIC, **settings)

    return make
