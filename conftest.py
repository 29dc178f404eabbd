"""What every test needs: data sets without a network where a copy is at hand."""

import gc
import os

import pytest

from stages import ROOT

# PyTorch reads this when it is imported, which some tests do before a stage's common.py sets it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# A folder beside the checkout that holds the text files spares the tests the network.
COPIES = ROOT.parent / "shared" / "data"
if COPIES.is_dir():
    os.environ.setdefault("ZERO_DATA_MIRROR", str(COPIES))


@pytest.fixture(autouse=True)
def collector():
    """Stage 05 switches Python's garbage collector off for its run; a later test has it again."""
    yield
    gc.enable()
