"""The explorer's page: what is in it, what it refuses, and that nothing in it is obeyed."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from command_line import run_tool
from explorer import __main__ as command
from explorer.export import NAMES, TITLES, Blob, Problem, collect
from explorer.page import (
    EXPORT,
    IMPORT,
    LARGEST,
    PAGE,
    build_page,
    choose_blobs,
    join_modules,
    name_left_out,
    source_hash,
)
from stages import ROOT, load_stage

TESTS = ROOT / "tests"
EVIL = "<img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """The elements of a page: [tag, attributes, text], in order."""

    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][2] += data

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


@pytest.fixture
def explore(monkeypatch, capsys):
    """explore("--no-open", ...) -> (status, stdout, stderr) of the command, in this process."""

    def explore(*words):
        monkeypatch.setattr(sys, "argv", ["explorer", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            run_tool("explore", command.main)
        return end.value.code, *capsys.readouterr()

    return explore


def header_of(page):
    scripts = {attributes.get("id"): text for attributes, text in Elements(page).all("script")}
    return json.loads(scripts["header"])


# --- the sources ---


def test_every_module_is_joined_once_and_after_what_it_needs():
    joined = re.findall(r"^// ---- (\w+\.js) ----$", join_modules(), re.MULTILINE)
    assert sorted(joined) == sorted(path.name for path in PAGE.glob("*.js") if path.stem != "theme")
    for name in joined:
        source = (PAGE / name).read_text(encoding="utf-8")
        for needed in re.findall(r'from "\./(\w+\.js)"', source):
            assert joined.index(needed) < joined.index(name)
    assert not re.search(r"^(import|export) ", join_modules(), re.MULTILINE)


def test_every_export_is_used_by_another_module_or_a_test():
    sources = [path.read_text(encoding="utf-8") for path in PAGE.glob("*.js")]
    imports = " ".join(names for source in sources for names, _ in IMPORT.findall(source))
    tests = [path.read_text(encoding="utf-8") for path in TESTS.glob("test_explorer_*.py")]
    used = set(re.findall(r"\w+", " ".join([imports, *tests])))
    assert {name for source in sources for _, name in EXPORT.findall(source)} <= used


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
def test_a_module_uses_all_that_it_imports(path):
    source = path.read_text(encoding="utf-8")
    for name in re.findall(r"\w+", " ".join(names for names, _ in IMPORT.findall(source))):
        assert len(re.findall(rf"\b{name}\b", source)) > 1, f"{name} is not used"


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
def test_no_module_makes_html_from_text_or_asks_the_network(path):
    source = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    network = r"\bfetch\(|XMLHttpRequest|WebSocket|importScripts|https?://(?!www\.w3\.org/2000/svg)"
    assert not re.search(f"{forbidden}|{network}", source)


# --- the page ---


def test_the_policy_allows_this_page_and_nothing_else(explorer_file):
    elements = Elements(explorer_file.read_text(encoding="utf-8"))
    policies = [a for a, _ in elements.all("meta") if a.get("http-equiv")]
    policy = dict(part.split(" ", 1) for part in policies[0]["content"].split("; "))
    assert policy["default-src"] == "'none'"
    scripts = [(a.get("type", ""), text) for a, text in elements.all("script")]
    code = [text for kind, text in scripts if kind in ("", "module")]
    assert policy["script-src"].split() == [source_hash(text) for text in code]
    assert policy["style-src"] == source_hash(elements.all("style")[0][1])
    assert "connect-src" not in policy and "unsafe" not in policies[0]["content"]


def test_the_page_is_small_and_has_all_models(explorer_file):
    page = explorer_file.read_text(encoding="utf-8")
    assert explorer_file.stat().st_size < LARGEST
    (run,) = header_of(page)["runs"]
    folders = [entry["folder"] for entry in run["models"]]
    assert folders == [*TITLES][:1] + ["02_bigram_counts/ngram/names-4"] + [*TITLES][1:]
    assert run["missing"] == []


def test_what_does_not_fit_is_left_out_and_named(explorer_out, monkeypatch):
    header, blobs = collect(explorer_out, None, explorer_out.parent / "names.txt")
    largest = max(blobs, key=lambda blob: len(blob.content))
    chosen, left_out = choose_blobs(blobs, sum(len(b.content) for b in blobs) * 4 // 3 - 1000)
    assert left_out and len(chosen) + len(left_out) == len(blobs)
    monkeypatch.setattr("explorer.page.LARGEST", 100_000)
    page, lines = build_page(header, blobs)
    assert any(largest.title in line and line.startswith("left out") for line in lines)
    assert largest.title in header_of(page.decode())["left_out"]


def test_models_come_before_the_earlier_weights():
    blobs = [SimpleBlob(key) for key in ("a@0", "a", "b@0", "b")]
    chosen, left_out = choose_blobs(blobs, 2 * (400 + 100))
    assert [blob.key for blob in chosen] == ["a", "b"]
    assert [blob.key for blob in left_out] == ["a@0", "b@0"]


class SimpleBlob:
    def __init__(self, key):
        self.key, self.content, self.title = key, b"x" * 300, key


# --- the command ---


def test_the_command_writes_a_page_and_says_what_is_missing(explorer_out, tmp_path):
    shutil.copytree(explorer_out / "02_bigram_counts", tmp_path / "out/02_bigram_counts")
    words = [sys.executable, ROOT / "tools/explorer", "--from", tmp_path / "out", "--no-open"]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "03_bigram_learned: not trained yet: make stage 3" in done.stdout
    page = (tmp_path / "out/explorer.html").read_text(encoding="utf-8")
    assert [entry["kind"] for entry in header_of(page)["runs"][0]["models"]] == ["counts", "ngram"]


def test_two_runs_are_on_one_page(explore, explorer_out, tmp_path):
    shutil.copytree(explorer_out / "02_bigram_counts", tmp_path / "old/02_bigram_counts")
    out, names = tmp_path / "both.html", explorer_out.parent / "names.txt"
    flags = ["--compare", tmp_path / "old", "--data", names, "--out", out, "--no-open"]
    status, _, problem = explore("--from", explorer_out, *flags)
    assert status == 0, problem
    runs = header_of(out.read_text(encoding="utf-8"))["runs"]
    assert [run["name"] for run in runs] == ["out", "old"]
    assert not {m["key"] for m in runs[0]["models"]} & {m["key"] for m in runs[1]["models"]}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--from", "{tmp}/nowhere"], "nowhere"),
        (["--from", "{tmp}"], "has no trained model"),
        (["--from", "{out}", "--compare", "{tmp}/nowhere"], "nowhere"),
        (["--from", "{out}", "--data", "{tmp}/nowhere.txt"], "nowhere.txt"),
        (["--from", "{out}", "--out", "{tmp}"], "--out"),
    ],
)
def test_bad_input_is_one_line(explore, explorer_out, tmp_path, words, problem):
    words = [word.format(tmp=tmp_path, out=explorer_out) for word in words]
    status, printed, said = explore(*words, "--no-open")
    assert status == 2
    assert printed == ""
    assert re.fullmatch(rf"explore: .*{re.escape(problem)}.*\n", said)


def test_a_model_that_cannot_be_used_is_named_and_the_rest_is_shown(explorer_out, tmp_path):
    import torch

    run = tmp_path / "out"
    for stage in ("02_bigram_counts", "03_bigram_learned", "04_embedding_mlp"):
        shutil.copytree(explorer_out / stage, run / stage)
    (run / "03_bigram_learned/model.pt").write_bytes(b"no model")
    saved = torch.load(run / "04_embedding_mlp/model.pt", weights_only=True)
    saved["weights"][0][0, 0] = torch.nan
    torch.save(saved, run / "04_embedding_mlp/model.pt")
    header, _ = collect(run, None, None)
    why = {missing["folder"]: missing["how"] for missing in header["runs"][0]["missing"]}
    assert "cannot be read" in why["03_bigram_learned"]
    assert "not finite" in why["04_embedding_mlp"]
    assert {entry["folder"][:2] for entry in header["runs"][0]["models"]} == {"02"}


def test_names_of_the_default_file_are_found_by_their_hash(explorer_out, tmp_path):
    shutil.copytree(explorer_out / "03_bigram_learned", tmp_path / "03_bigram_learned")
    path = tmp_path / "03_bigram_learned/result.json"
    _, without = collect(tmp_path, None, None)
    assert all(blob.key != "names" for blob in without)
    result = json.loads(path.read_text(encoding="utf-8"))
    result["dataset"]["sha256"] = hashlib.sha256(NAMES[0].read_bytes()).hexdigest()
    path.write_text(json.dumps(result), encoding="utf-8")
    _, blobs = collect(tmp_path, None, None)
    assert blobs[0].key == "names"


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(Problem, match="make stage 1"):
        collect(tmp_path, None, None)


# --- hostile data ---


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory):
    """The page of a model that learned names which mean something to HTML or to a terminal."""
    out = tmp_path_factory.mktemp("hostile")
    names = [EVIL, '"quoted"', "'single'", "</script><script>alert(2)</script>", "<!--", "نور", "ﬀ"]
    names += ["👩‍👩‍👧", "a\u202eb", "\x1b[31mred", "&amp;", "{{script}}", "é", "e\u0301"]
    names += [f"{name}{number}" for name in names for number in range(30)]
    data = out / "names.txt"
    data.write_text("\n".join(names), encoding="utf-8")
    for stage, flags in (("02_bigram_counts", []), ("04_embedding_mlp", ["--steps=10"])):
        with pytest.MonkeyPatch.context() as patch:
            flags = [f"--data={data}", f"--out={out / 'out' / stage}", *flags]
            patch.setattr(sys, "argv", ["main.py", *flags])
            load_stage(stage).main()
    result = out / "out/04_embedding_mlp/result.json"
    hostile = json.loads(result.read_text(encoding="utf-8"))
    hostile |= {"idea": EVIL, "variant": EVIL, "samples": [EVIL, "</script>"]}
    result.write_text(json.dumps(hostile), encoding="utf-8")
    page, _ = build_page(*collect(out / "out", None, data))
    path = out / "explorer.html"
    path.write_bytes(page)
    return path


def test_hostile_text_stays_inside_its_script_element(hostile_file):
    page = hostile_file.read_text(encoding="utf-8")
    kinds = [attributes.get("type", "") for attributes, _ in Elements(page).all("script")]
    assert kinds.count("") == 1 and kinds.count("module") == 1
    assert header_of(page)["runs"][0]["models"]


VIEWS = ("next", "word", "inside", "training", "copied", "text", "autodiff", "losses")


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_text_is_shown_and_not_obeyed(explorer_page, hostile_file, view):
    """The fixture fails on any error, and the policy would report what it blocks as one."""
    page = explorer_page(f"{view}/%3Cimg%20src=x%20onerror=alert(1)%3E", hostile_file)
    page.wait_for_timeout(200)
    assert page.locator("main img, main script, main iframe").count() == 0


@pytest.fixture(scope="module", params=["01_micrograd", "02_bigram_counts"])
def single_model_file(request, explorer_out, tmp_path_factory):
    """The page of one model."""
    out = tmp_path_factory.mktemp("single")
    shutil.copytree(explorer_out / request.param, out / request.param)
    shutil.rmtree(out / request.param / "ngram", ignore_errors=True)
    path = out / "explorer.html"
    path.write_bytes(build_page(*collect(out, None, None))[0])
    return path


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_with_a_single_model(explorer_page, single_model_file, view):
    page = explorer_page(view, single_model_file)
    page.wait_for_timeout(100)
    assert page.locator("main > section").inner_text().strip()


# --- what the reader meets ---


def test_the_first_paint_comes_within_a_second(explorer_page):
    page = explorer_page("next", is_new=True)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1000


def test_the_choice_of_dark_is_kept_and_there_before_the_first_paint(explorer_page):
    page = explorer_page("next", color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_what_is_left_out_is_named_once_and_by_its_run():
    steps = [Blob(f"1:m@{step}", b"", f"MLP, step {step}") for step in (0, 10)]
    blobs = [Blob("0:m", b"", "MLP"), *steps]
    runs = [{"name": "out"}, {"name": "my"}]
    assert name_left_out(blobs, runs) == ["MLP (out)", "earlier weights of MLP (my)"]
    assert name_left_out([Blob("names", b"", "the names")], runs) == ["the names"]
    assert name_left_out(blobs[:1], runs[:1]) == ["MLP"]


def test_an_address_that_names_no_view_opens_where_the_models_answer(explorer_page):
    page = explorer_page("nowhere/%E0%A4%A")
    assert page.locator("#tabs a[aria-current]").inner_text() == "Next letter"
