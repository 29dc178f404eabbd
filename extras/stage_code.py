"""Lets the files of this folder import tools/stages.py, which reaches the code of the stages."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))

from stages import ROOT, load_stage

__all__ = ["ROOT", "load_stage"]
