"""What the tests of all adapters draw from."""

from __future__ import annotations

import pytest
from pool_data import write_pool

from empaste_aug import PoolReader


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> PoolReader:
    return PoolReader(write_pool(tmp_path_factory.mktemp("pools") / "pool"))
