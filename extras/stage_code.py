"""Lets the files of this folder import tools/stages.py, which reaches the code of the stages.

They import it before PyTorch, because it loads a common.py, which sets what PyTorch reads when it
is imported.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))

from stages import ROOT, STAGES, load_stage

__all__ = ["ROOT", "load_stage"]

load_stage(STAGES[0], "common")  # it is the same in every stage
