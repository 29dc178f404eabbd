"""The checks of stage 06's exercises: right solutions pass, and each mistake has its own words."""

import pytest

from exercise_cases import Judge
from learn.run_checks import run_checks
from learn.source import function_text

STAGE = "06_shakespeare_gpt"


@pytest.fixture
def judge(tmp_path):
    return Judge(STAGE, tmp_path)


NAMES = Judge.names(STAGE)


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_passes(judge, name):
    assert judge.failure(name) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_is_not_yet_written(judge, name):
    judge.blank_all()
    assert "is not written yet" in judge.words(name)
