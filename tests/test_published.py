"""Published against ours: the verdicts, what is kept, and the checks themselves."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import published
from published import Check, Number
from stages import ROOT

CHECKS = {check.name: check for check in published.CHECKS}


def make_check(ours, name="one", tolerance=0.01, kind="quick"):
    """A check of the number 2.17 that measures `ours` and counts how often it does so."""

    def measure(out):
        measure.calls += 1
        if isinstance(ours, BaseException):
            raise ours
        return {"val": ours, "beside": 0.13}

    measure.calls = 0
    numbers = (Number("val", 2.17, tolerance),)
    return Check(name, "a thing", "A lecture", "https://example.org", numbers, measure, kind)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run(checks, *words) -> (status, what was printed); the records lie in tmp_path."""

    def run(checks, *words):
        monkeypatch.setattr(published, "CHECKS", tuple(checks))
        try:
            status = published.main(list(words), tmp_path)
        except SystemExit as ended:
            status = ended.code
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def makemore():
    if not (ROOT / "data" / "makemore.txt").exists() and "ZERO_DATA_MIRROR" not in os.environ:
        pytest.skip("data/makemore.txt is not here: python data/prepare.py makemore")


# --- verdicts ---


@pytest.mark.parametrize("ours, verdict", [
    (2.17, True), (2.18, True), (2.16, True), (2.1799999, True),
    (2.1801, False), (2.1599, False), (math.nan, False), (math.inf, False), (None, False),
])  # fmt: skip
def test_a_difference_up_to_the_tolerance_passes(ours, verdict):
    assert Number("val", 2.17, 0.01).passes(ours) is verdict


@given(st.integers(-3000, 3000), st.integers(0, 100), st.integers(-100, 100))
def test_the_verdict_is_that_of_whole_thousandths(number, tolerance, difference):
    """Where no binary fraction can spoil the comparison."""
    target = Number("x", number / 1000, tolerance / 1000)
    assert target.passes((number + difference) / 1000) == (abs(difference) <= tolerance)


def test_texts_have_to_be_equal():
    target = Number("samples", "kamon, ann")
    assert target.passes("kamon, ann")
    assert not target.passes("kamon, anna") and not target.passes(None)


def test_a_check_passes_only_if_each_of_its_numbers_does():
    numbers = (Number("a", 1.0, 0.1), Number("b", 2.0, 0.1))
    check = Check("x", "", "", "", numbers, dict)
    assert check.passes({"a": 1.05, "b": 2.05})
    assert not check.passes({"a": 1.05, "b": 2.2})
    assert not check.passes({"a": 1.05})


# --- what is printed and returned ---


def test_good_and_bad_numbers_show_in_the_table_and_in_the_status(run):
    status, text = run([make_check(2.175, "near"), make_check(2.19, "far")])
    assert status == 1
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "near: a thing val 2.17 2.1750 0.01 pass (1)" in rows
    assert "far: a thing val 2.17 2.1900 0.01 FAIL (1)" in rows
    assert rows.count("beside 0.1300") == 2  # measured, with nothing published to compare
    assert "(1) A lecture: https://example.org" in rows
    assert run([make_check(2.175, "near")])[0] == 0


def test_only_what_was_asked_for_runs(run, monkeypatch):
    monkeypatch.setattr(published, "has_cuda", lambda: False)
    kinds = [make_check(2.17, kind, kind=kind) for kind in ("quick", "long", "gpu")]

    def calls():
        return [check.measure.calls for check in kinds]

    status, text = run(kinds)
    assert status == 0 and calls() == [1, 0, 0]
    assert "Not run: long (--long), gpu (--long, on a GPU with CUDA)" in text
    status, text = run(kinds, "--long")
    assert status == 0 and calls() == [1, 1, 0]
    status, text = run(kinds, "gpu")
    assert status == 2 and "CUDA" in text and calls() == [1, 1, 0]
    monkeypatch.setattr(published, "has_cuda", lambda: True)
    assert run(kinds, "gpu")[0] == 0 and calls() == [1, 1, 1]


def test_an_unknown_name_costs_status_2_and_names_the_checks(run):
    status, text = run([make_check(2.17, "mlp")], "mpl")
    assert status == 2 and "'mpl'" in text and "the checks are mlp" in text
    assert text.count("\n") == 1


def test_numbers_are_written_as_one_publishes_them():
    assert [published.plain(x) for x in (2.454, 645.5773, 5e-5, 2.07, 1.0, "ann")] == [
        "2.454", "645.5773", "0.00005", "2.07", "1", "ann",
    ]  # fmt: skip


# --- what is kept ---


def test_a_finished_check_is_not_repeated_unless_asked(run, tmp_path):
    check = make_check(2.175)
    assert run([check])[0] == run([check])[0] == 0
    assert check.measure.calls == 1
    record = json.loads((tmp_path / "one.json").read_text(encoding="utf-8"))
    assert record["ours"] == {"val": 2.175, "beside": 0.13} and record["passed"] is True
    assert record["published"] == {"val": 2.17} and record["url"] == "https://example.org"
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "checkpoint.pt").touch()
    assert run([check], "--again")[0] == 0
    assert check.measure.calls == 2 and not (tmp_path / "one").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_a_kept_number_is_judged_by_the_tolerance_of_today(run):
    assert run([make_check(2.175)])[0] == 0
    assert run([make_check(2.175, tolerance=0.001)])[0] == 1


@pytest.mark.parametrize("content", ["", "[]", '{"ours": {"other": 1}}', '{"ours": 3}'])
def test_a_record_that_cannot_be_used_is_made_again(run, tmp_path, content):
    (tmp_path / "one.json").write_text(content, encoding="utf-8")
    check = make_check(2.175)
    assert run([check])[0] == 0 and check.measure.calls == 1


def test_a_check_that_cannot_run_leaves_no_record_and_the_others_run(run, tmp_path):
    checks = [make_check(published.Failed("no disk"), "bad"), make_check(2.17, "good")]
    status, text = run(checks)
    assert status == 1 and "bad could not run: no disk" in text
    assert not (tmp_path / "bad.json").exists() and (tmp_path / "good.json").exists()


def test_ctrl_c_keeps_what_is_done_and_says_so(run, tmp_path):
    checks = [make_check(2.17, "first"), make_check(KeyboardInterrupt(), "second")]
    status, text = run(checks)
    assert status == 130 and "the same command continues" in text and "pass" in text
    assert [path.name for path in tmp_path.iterdir()] == ["first.json"]


# --- children ---


def test_a_childs_bad_end_is_told():
    with pytest.raises(published.Failed, match="status 3"):
        published.run_child("-c", "raise SystemExit(3)")
    with pytest.raises(KeyboardInterrupt):
        published.run_child("-c", "raise SystemExit(130)")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a group of processes as POSIX does")
def test_ctrl_c_in_a_long_training_and_the_same_command_again(tmp_path):
    """The real thing, but for its length: stopped in the middle, then continued from there."""
    makemore()
    script = (
        "import sys, published; from pathlib import Path; stage = published.run_stage\n"
        "published.run_stage = lambda *words: stage(*words, '--steps', '3000')\n"
        f"sys.exit(published.main(['mlp'], Path({str(tmp_path)!r})))"
    )
    command = [sys.executable, "-u", "-c", script]
    options = {"cwd": ROOT / "tools", "stdout": subprocess.PIPE, "text": True}
    child = subprocess.Popen(command, start_new_session=True, **options)
    for line in child.stdout:
        if line.startswith("step"):
            break
    time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=300)
    assert child.returncode == 130 and "the same command continues" in out
    assert not (tmp_path / "mlp.json").exists()
    done = subprocess.run(command, **options)
    assert "continuing at step" in done.stdout and done.returncode == 1  # 3,000 steps are too few
    record = json.loads((tmp_path / "mlp.json").read_text(encoding="utf-8"))
    assert 2.2 < record["ours"]["val"] < 3 and record["passed"] is False


# --- the checks themselves ---


def test_names_are_unique_and_every_check_has_a_source():
    assert len(CHECKS) == len(published.CHECKS)
    for check in published.CHECKS:
        labels = [number.label for number in check.numbers]
        assert labels and len(set(labels)) == len(labels)
        assert check.source and check.url.startswith("https://")
        assert check.kind in ("quick", "long", "gpu")


@pytest.mark.parametrize("name", ["micrograd", "counts", "bigram"])
def test_quick_checks_pass(name, tmp_path):
    if name != "micrograd":
        makemore()
    check = CHECKS[name]
    ours = check.measure(tmp_path / name)
    for number in check.numbers:
        assert number.passes(ours[number.label]), (number, ours)


def test_eurekalabs_splits_are_theirs_to_the_byte(tmp_path):
    makemore()
    folder = published.eurekalabs(tmp_path / "splits")
    hashes = {
        split: hashlib.sha256((folder / f"{split}.txt").read_bytes()).hexdigest()
        for split in ("train", "val", "test")
    }
    assert hashes == {
        "train": "814eca7d20168ba3a41ff1a6e41bedbfa8e72de37c974a3411f047f0b73b2f74",
        "val": "23195f8c2b2b69343f1e486a595b5e0e9977d373289fe306bb3adc9c171e9efc",
        "test": "5951a7a2df9d9cc5fc9409e814a645eadba5e33e104a9e6e47f3cfe065a0d9d6",
    }
    assert "zzyzxasani" in (folder / "train.txt").read_text(encoding="utf-8").split()


def test_a_finished_training_is_kept_and_a_stopped_one_is_resumed(tmp_path, monkeypatch):
    calls = []

    def run_stage(script, out, *flags):
        calls.append(flags)
        out.mkdir(exist_ok=True)
        stopped = len(calls) == 1
        (out / "result.json").write_text(json.dumps({"interrupted": stopped}), encoding="utf-8")
        if stopped:
            (out / "checkpoint.pt").touch()
        return {"interrupted": stopped}

    monkeypatch.setattr(published, "run_stage", run_stage)
    for _ in range(3):
        result = published.run_once("extras/x.py", tmp_path / "x", "--steps", 9)
    assert calls == [("--steps", 9), ("--steps", 9, "--resume")]
    assert result == {"interrupted": False}


@pytest.mark.slow
def test_the_4_gram_of_eurekalabs_passes(tmp_path):
    makemore()
    ours = CHECKS["eurekalabs-ngram"].measure(tmp_path)
    assert CHECKS["eurekalabs-ngram"].passes(ours), ours
    assert ours["test, names not in train"] > ours["test"] > ours["test, each name on its own"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [c.name for c in published.CHECKS if c.kind == "long"])
def test_long_checks_pass(name, tmp_path):
    if name != "nanogpt-cpu":
        makemore()
    ours = CHECKS[name].measure(tmp_path)
    assert CHECKS[name].passes(ours), ours


@pytest.mark.slow
def test_microgpt_passes(tmp_path):
    makemore()
    assert CHECKS["microgpt"].passes(CHECKS["microgpt"].measure(tmp_path))


@pytest.mark.slow
def test_the_first_microgpt_passes_and_the_mended_one_learns_more(tmp_path):
    makemore()
    ours = CHECKS["first-microgpt"].measure(tmp_path)
    assert CHECKS["first-microgpt"].passes(ours)
    mended = {98: 2.6742, 99: 2.3908, 100: 3.4149}
    assert {step: ours[f"mended, loss at step {step}"] for step in mended} == mended


@pytest.mark.slow
def test_the_gpu_check_passes(tmp_path):
    if not published.has_cuda():
        pytest.skip("there is no CUDA here")
    ours = CHECKS["nanogpt-gpu"].measure(tmp_path)
    assert CHECKS["nanogpt-gpu"].passes(ours), ours
