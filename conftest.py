"""What every test needs: data sets without a network where a copy is at hand."""

import gc
import os
import signal

import pytest

from stages import ROOT, loaded

# PyTorch reads these when it is imported, which some tests do before a stage's common.py sets the
# first one. With a pytest for every core, each of them computes in one thread.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started with &, a program and its children ignore Ctrl-C, but the tests of stops send it to them.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the tools print must not depend on the width of the terminal that runs the tests.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# A folder beside the checkout that holds the text files spares the tests the network.
COPIES = ROOT.parent / "shared" / "data"
if COPIES.is_dir():
    os.environ.setdefault("ZERO_DATA_MIRROR", str(COPIES))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Python's garbage collector never looks through what is there after the collection of tests:
    200,000 objects of PyTorch, again and again, would triple the time of a test that makes many.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def collector():
    """Stage 05 switches Python's garbage collector off for its run; a later test has it again."""
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def checkpoint():
    """A run that a test breaks off leaves its checkpoint in common.py; a later test has none."""
    yield
    for modules in loaded.values():
        if "common" in modules:
            modules["common"].checkpoint = None
