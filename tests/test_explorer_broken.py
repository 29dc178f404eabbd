"""The explorer with what goes wrong: spoiled runs, full disks, old browsers, pasted books."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from atomic_write import write_atomically
from explorer import __main__ as command
from explorer.export import Problem, collect
from explorer.page import build_page

NGRAM = "02_bigram_counts/ngram/names-4"


@pytest.fixture
def run(explorer_out, tmp_path):
    """A copy of the runs that are written as JSON, to spoil."""
    for folder in ("01_micrograd", "02_bigram_counts", "05_microgpt"):
        left_out = shutil.ignore_patterns("twin", "best")
        shutil.copytree(explorer_out / folder, tmp_path / "out" / folder, ignore=left_out)
    return tmp_path / "out"


def spoil(path, *keys, to):
    content = json.loads(path.read_text(encoding="utf-8"))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(content), encoding="utf-8")


def header_of(run):
    return collect(run, None, None)[0]["runs"][0]


def kinds(run):
    return [entry["kind"] for entry in header_of(run)["models"]]


# --- runs ---


def test_kept_steps_that_the_file_does_not_have_are_left_out(run):
    path = run / "05_microgpt/result.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["kept_steps"]
    spoil(path, "kept_steps", to=[*kept, 987654, "3", None])
    entry = header_of(run)["models"][-1]
    assert [state["step"] for state in entry["earlier"]] == kept


@pytest.mark.parametrize("value", [None, "x", [], {}, [["a"]], 10**400, float("nan")])
@pytest.mark.parametrize("key", ["counts", "chars", "config"])
def test_a_spoiled_model_is_named_and_the_rest_is_shown(run, key, value):
    spoil(run / "02_bigram_counts/model.json", key, to=value)
    found = header_of(run)
    folders = [missing["folder"] for missing in found["missing"]]
    assert "02_bigram_counts" in folders
    assert "microgpt" in [entry["kind"] for entry in found["models"]]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["config", "n_head"], 3),
        (["config", "n_layer"], 10**9),
        (["config", "block_size"], 5),
        (["chars"], ["a", "b"]),
    ],
)
def test_weights_that_do_not_fit_the_settings_are_refused(run, keys, value):
    assert "microgpt" in kinds(run)
    spoil(run / "05_microgpt/model.json", *keys, to=value)
    assert "microgpt" not in kinds(run)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["config", "n"], 10**9),
        (["config", "n"], 3),
        (["config", "n"], "4"),
        (["counts", "abcd"], 0),
        (["counts", "abcd"], -2),
        (["counts", "abcd"], 1.5),
        (["counts", "abcdefg"], 1),
        (["counts"], {}),
        (["chars"], None),
    ],
)
def test_an_ngram_with_wrong_counts_is_left_out(run, keys, value):
    """The page then takes the next shorter one."""
    assert NGRAM in [entry["folder"] for entry in header_of(run)["models"]]
    spoil(run / NGRAM / "model.json", *keys, to=value)
    folders = [entry["folder"] for entry in header_of(run)["models"]]
    assert NGRAM.replace("4", "3") in folders and NGRAM not in folders


@pytest.mark.parametrize("value", [None, "x", [None], [["0", 1, 2]], [[0, 1]], {"a": 1}])
def test_a_spoiled_curve_is_left_out(run, value):
    spoil(run / "05_microgpt/result.json", "curve", to=value)
    rows = [row for group in header_of(run)["groups"] for row in group["rows"]]
    row = next(row for row in rows if row["folder"] == "05_microgpt")
    assert row["result"]["curve"] == [] and row["val"] > 0


def test_numbers_of_a_curve_that_are_not_finite_are_gaps(run):
    curve = [[0, float("inf"), 3.0], [5, "x", float("nan")], [10, 2, 2.5]]
    spoil(run / "05_microgpt/result.json", "curve", to=curve)
    rows = [row for group in header_of(run)["groups"] for row in group["rows"]]
    row = next(row for row in rows if row["folder"] == "05_microgpt")
    assert row["result"]["curve"] == [[0, None, 3.0], [5, None, None], [10, 2, 2.5]]


@pytest.mark.parametrize(
    ("keys", "value"), [(["variant"], []), (["config", "seed"], {}), (["loss", "val"], 10**400)]
)
def test_a_result_with_values_that_no_run_writes_is_left_out(run, keys, value):
    spoil(run / "05_microgpt/result.json", *keys, to=value)
    rows = [row for group in header_of(run)["groups"] for row in group["rows"]]
    assert rows and all(row["folder"] != "05_microgpt" for row in rows)


@pytest.mark.parametrize("file", ["result.json", "model.json"])
@pytest.mark.parametrize("folder", ["01_micrograd", "02_bigram_counts", NGRAM])
def test_a_file_nested_without_end_is_left_out(run, folder, file):
    (run / folder / file).write_text("[" * 100_000, encoding="utf-8")
    assert "microgpt" in kinds(run)


def test_moons_with_weights_of_another_size_are_left_out(run):
    assert header_of(run)["moons"]
    spoil(run / "01_micrograd/model.json", "layers", to=[2, 9999, 1])
    assert header_of(run)["moons"] is None


def test_half_a_character_does_not_stop_the_page(run):
    spoil(run / "05_microgpt/result.json", "variant", to="\ud800")
    spoil(run / NGRAM / "model.json", "counts", "\ud800abc", to=1)
    page, _ = build_page(*collect(run, None, None))
    assert page.decode("utf-8")


def test_names_that_the_models_did_not_learn_are_said(run, explorer_out, tmp_path):
    learned = explorer_out.parent / "names.txt"
    lines = learned.read_text(encoding="utf-8").splitlines()
    (tmp_path / "others.txt").write_text("\n".join(lines[:300]), encoding="utf-8")
    for path, is_said in ((learned, False), (tmp_path / "others.txt", True)):
        _, lines = build_page(*collect(run, None, path))
        assert any("they are not those of this page" in line for line in lines) == is_said


# --- the command ---


def test_a_device_is_never_replaced(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes in folders here")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Problem, match="is no file"):
        command.write_page(tmp_path / "pipe", b"page")
    assert not (tmp_path / "pipe").is_file()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(Problem, match="--out .*No space left on device; give a file"):
        command.write_page(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text(encoding="utf-8") == "old"


def test_two_writers_never_use_the_same_part(tmp_path):
    code = "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
    code += "from atomic_write import write_atomically\n"
    code += "for _ in range(60): write_atomically(Path(sys.argv[2]), sys.argv[3] * 50_000)\n"
    tools = os.path.dirname(os.path.dirname(command.__file__))
    words = [sys.executable, "-c", code, tools, str(tmp_path / "page.html")]
    writers = [subprocess.Popen([*words, letter], stderr=subprocess.PIPE) for letter in "ab"]
    assert [writer.communicate()[1] for writer in writers] == [b"", b""]
    assert set((tmp_path / "page.html").read_text()) in ({"a"}, {"b"})
    assert len(list(tmp_path.iterdir())) == 1


def test_no_browser_is_started_in_a_terminal_without_a_display(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in command.DISPLAY:
        monkeypatch.delenv(name, raising=False)
    page = tmp_path / "a b#c%d.html"
    assert not command.open_in_browser(page) and not opened
    monkeypatch.setenv("DISPLAY", ":0")
    assert command.open_in_browser(page)
    assert opened[0].endswith("/a%20b%23c%25d.html")


# --- the browser ---


def test_without_javascript_the_page_says_what_it_needs(explorer_file, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(explorer_file.as_uri())
    assert "needs JavaScript" in page.locator("body").inner_text()
    assert not page.locator("#loading").is_visible()
    context.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("delete globalThis.DecompressionStream", "this browser is too old"),
        ("delete Array.prototype.map", "cannot start in this browser"),
    ],
)
def test_a_browser_that_is_too_old_says_so(explorer_file, browser, script, said):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(script)
    page.goto(f"{explorer_file.as_uri()}#next")
    page.get_by_text(said).wait_for(timeout=10_000)
    context.close()


def test_without_storage_the_page_works(explorer_page, explorer_file, browser):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no storage'); }})"
    )
    page.goto(f"{explorer_file.as_uri()}#next")
    page.wait_for_selector("html[data-ready]")
    page.get_by_role("button", name="Predict first: off").click()
    page.get_by_role("button", name="Predict first: on").wait_for()
    context.close()


@pytest.mark.parametrize("view", ["next", "word", "inside", "training", "copied", "text"])
def test_a_pasted_book_does_not_stop_a_view(explorer_page, view):
    page = explorer_page(view)
    box = page.locator("main input[type=text]:visible, main textarea:visible").first
    box.focus()
    page.keyboard.insert_text("emma" * 50_000)
    page.wait_for_timeout(100)
    page.get_by_role("link", name="Gradients").click(timeout=5000)
    page.locator("main textarea").wait_for(timeout=5000)


def test_names_in_letters_that_a_model_does_not_know_have_no_mean(
    explorer_page, explorer_out, tmp_path
):
    (tmp_path / "names.txt").write_text("\n".join(f"π{i}" for i in range(99)), encoding="utf-8")
    path = tmp_path / "explorer.html"
    path.write_bytes(build_page(*collect(explorer_out, None, tmp_path / "names.txt"))[0])
    page = explorer_page("inside", path)
    page.locator(".inside-cost").get_by_text("unknown letters").first.wait_for()
    assert "NaN" not in page.locator("main").inner_text()
