"""tools/bench.py: its stopwatch, its medians, its verdicts, but not the speeds it measures."""

import json
import sys
import time

import pytest

import bench
from bench import Line, number, seconds_per_step, show, summarize, verdict
from stages import ROOT

SLOW_STEPS = """
import sys, time
for step in range(1, 1000):
    time.sleep(0.02)
    print(f"step {step:4d} / 1000 | loss 1.0", end=sys.argv[1], flush=True)
"""


@pytest.mark.parametrize("end", ["\\n", "\\r"])
def test_the_stopwatch_times_steps_however_they_are_printed_and_ends_the_script(tmp_path, end):
    script = tmp_path / "steps.py"
    script.write_text(SLOW_STEPS.replace("sys.argv[1]", f'"{end}"'), encoding="utf-8")
    begin = time.perf_counter()
    assert 0.02 <= seconds_per_step(script, 2, 12) < 0.1
    assert time.perf_counter() - begin < 10  # not the twenty seconds of a thousand steps


def test_the_stopwatch_reads_steps_with_thousands_separators(tmp_path):
    script = tmp_path / "steps.py"
    lines = [f"print('step {step:5,} / 1,500 | loss 1.0')" for step in (1, 999, 1000, 1500)]
    script.write_text("\n".join(lines), encoding="utf-8")
    assert seconds_per_step(script, 1, 1500) >= 0


def test_a_script_that_ends_too_early_is_an_error_and_not_a_hang(tmp_path):
    script = tmp_path / "short.py"
    script.write_text("print('step    1 / 3 | loss 1.0')", encoding="utf-8")
    with pytest.raises(bench.Failed, match="before it printed step 3"):
        seconds_per_step(script, 1, 3)


def test_a_failing_child_says_why(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('no such luck')", encoding="utf-8")
    with pytest.raises(bench.Failed, match="no such luck"):
        bench.child(script)


def test_the_median_of_the_runs_decides_and_every_run_is_kept():
    runs = [{"ratio": 5.0, "seconds": 1.0}, {"ratio": 1.0, "seconds": 9.0},
            {"ratio": 3.0, "seconds": 2.0}]  # fmt: skip
    quantities = summarize(runs)
    assert quantities["ratio"] == {"median": 3.0, "runs": [5.0, 1.0, 3.0]}
    bars = {"ratio": (True, 3), "seconds": (False, 1.9)}
    assert verdict(bars, quantities) == {"ratio": True, "seconds": False}


def test_what_a_line_needs_and_lacks():
    by_name = {line.name: line for line in bench.lines(None, None)}
    with pytest.raises(bench.Missing, match="--published"):
        by_name["microgpt"].measure()
    with pytest.raises(bench.Missing, match="--nanogpt"):
        by_name["nanogpt-cpu"].measure()


def test_the_published_script_runs_with_the_collector_on_and_off(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/makemore.txt").write_text("emma\nava\n", encoding="utf-8")
    published = tmp_path / "published.py"
    published.write_text('"""It."""\nimport gc\nprint(gc.isenabled())\n', encoding="utf-8")
    collector = []

    def seconds(script, *_, cwd=None):
        if script.name == "main.py":
            return 2.0
        collector.append(bench.child(script, cwd=cwd).strip())
        return {"True": 80.0, "False": 14.0}[collector[-1]]

    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "seconds_per_step", seconds)
    monkeypatch.setattr(bench, "stage", lambda *_: {"chars_seen": 1, "seconds": 1.0})
    (line,) = (line for line in bench.lines(published, None) if line.name == "microgpt")
    measured = line.measure()
    assert collector == ["True", "False"]
    assert measured["times as fast"] == 40
    assert measured["times as fast, collector off in both"] == 7
    assert set(line.bars) <= set(measured)


def test_every_bar_is_on_something_that_its_line_measures(monkeypatch):
    """A misspelt quantity would only show after minutes of measuring."""
    result = {"loss": {"val": 1.0}, "best": {"val": 1.0}, "seconds": 1.0, "chars_seen": 1}
    monkeypatch.setattr(bench, "stage", lambda *_: result | {"curve": [[0, None, 1.0]]})
    monkeypatch.setattr(bench, "child", lambda *a, **_: '{"ratio": 1, "times as fast": 1}\npeak 1')
    monkeypatch.setattr(bench, "seconds_per_step", lambda *_, **__: 1.0)
    monkeypatch.setattr(bench, "nanogpt", lambda *_: {"nanoGPT, seconds": 60.0})
    for name in ("start-up", "memory", "mlp-3", "mlp-8", "twin-best", "cpu"):
        (line,) = (line for line in bench.lines(None, None) if line.name == name)
        assert set(line.bars) <= set(line.measure()), name


def test_a_bar_that_is_missed_is_shown_and_sets_the_status(tmp_path, monkeypatch, capsys):
    line = Line("x", "y", lambda: {"ratio": 2.0}, {"ratio": (True, 3)})
    monkeypatch.setattr(bench, "lines", lambda *_: [line])
    monkeypatch.setattr(bench, "machine", lambda: {"cores": 2})
    monkeypatch.setattr(sys, "argv", ["bench", "--out", str(tmp_path / "bench.json")])
    assert bench.main() == 1
    assert "NO" in capsys.readouterr().out
    report = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert report["lines"][0]["met"] == {"ratio": False}


def test_a_line_measured_alone_leaves_the_others_of_the_machine(tmp_path, monkeypatch, capsys):
    values = {"a": iter([1.0, 2.0]), "b": iter([5.0])}
    lines = [Line(n, n, lambda n=n: {"ratio": next(values[n])}, {"ratio": (True, 0)}) for n in "ab"]
    monkeypatch.setattr(bench, "lines", lambda *_: lines)
    monkeypatch.setattr(bench, "machine", lambda: {"cores": 2})
    path = tmp_path / "bench.json"
    for flags in (["--runs", "1"], ["--runs", "1", "--only", "a"]):
        monkeypatch.setattr(sys, "argv", ["bench", "--out", str(path), *flags])
        assert bench.main() == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    medians = {row["name"]: row["quantities"]["ratio"]["median"] for row in report["lines"]}
    assert medians == {"a": 2.0, "b": 5.0}
    monkeypatch.setattr(bench, "machine", lambda: {"cores": 4})
    assert bench.kept(path, bench.machine()) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module there")
def test_the_peak_is_the_childs_own_however_large_its_parent_is():
    ballast = bytearray(200 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])  # or the pages would not be there
    program = "x = bytearray(40 << 20); x[::4096] = x[::4096]"
    printed = bench.child("-c", bench.MEMORY, "-c", program)
    assert 40 < float(printed.split()[-1]) < 100


@pytest.mark.parametrize("name", ["engine", "cached"])
def test_the_races_run(monkeypatch, tmp_path, name):
    """With stage 01's engine in the place of the package micrograd, which need not be there."""
    (tmp_path / "micrograd").mkdir()
    (tmp_path / "micrograd" / "__init__.py").touch()
    engine = (ROOT / "01_micrograd" / "engine.py").read_text(encoding="utf-8")
    (tmp_path / "micrograd" / "engine.py").write_text(engine, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bench, "GENERATION", bench.GENERATION.replace("500", "20"))
    by_name = {line.name: line for line in bench.lines(None, None)}
    (ratio,) = by_name[name].measure().values()
    assert 0.2 < ratio < 50


def test_a_line_that_does_not_exist_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "nonsense"])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    "value, text",
    [(0, "0.000"), (1e-7, "1e-07"), (0.5, "0.500"), (1.97, "1.970"), (12.34, "12.3"),
     (176_000, "176,000")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_the_table_reads_no_markup(capsys):
    from rich.console import Console

    row = {"name": "[red]", "what": "a", "quantities": {"b": {"median": 1.0}}}
    show([row | {"bars": {}, "met": {}}], Console(markup=False, width=80))
    assert "[red]" in capsys.readouterr().out
