"""The launcher and the Makefile, in a copy of the project whose stages are made up."""

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from clocks import seconds_of_children
from stages import ROOT

FIRST = '''"""The first idea.

More about it.
"""

import os
import sys

print({"arguments": sys.argv[1:], "folder": os.getcwd(), "text": "é"})
if "--status" in sys.argv:
    sys.exit(int(sys.argv[sys.argv.index("--status") + 1]))
'''
SLOW = '''"""An idea that takes its time."""

import sys
import time
from pathlib import Path

try:
    print("ready", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    time.sleep(0.3)
    Path(__file__).with_name("kept.txt").write_text("kept", encoding="utf-8")
    print("stopped early")
    sys.exit(130)
'''
WAITING_PLOTS = '''import os
import sys
import time
from pathlib import Path

here, began = Path(__file__).parent, time.monotonic()
while not (here / "go").exists() and time.monotonic() - began < 20:
    time.sleep(0.05)
nice = os.nice(0) if hasattr(os, "nice") else 10
(here / "part").write_text(f"{sys.argv[2]} nice {nice}", encoding="utf-8")
os.replace(here / "part", here / "drawn")
'''
FOURTH = '"""The fourth idea."""\n\nprint("the fourth ran")\n'
TWIN = 'import sys\n\nprint("the twin ran", *sys.argv[1:])\n'

posix_only = pytest.mark.skipif(os.name == "nt", reason="signals to a process group need POSIX")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path):
    """A folder with the launcher, the tools, two made-up stages and empty requirements files."""
    for name in ("run.py", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    left_out = shutil.ignore_patterns("explorer")
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=left_out)
    write(tmp_path / "requirements.txt", "# nothing\n")
    write(tmp_path / "requirements-dev.txt", "# nothing\n")
    write(tmp_path / "01_first" / "main.py", FIRST)
    write(tmp_path / "04_fourth" / "main.py", FOURTH)
    (tmp_path / "05_no_main_yet").mkdir()
    return tmp_path


@pytest.fixture
def launcher(project):
    """run.py of the made-up project as a module."""
    spec = importlib.util.spec_from_file_location("launcher", project / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(project, *words, **options):
    command = [sys.executable, project / "run.py", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, **options)


def make(project, *words):
    command = ["make", "-C", project, "--no-print-directory", f"PYTHON={sys.executable}", *words]
    # `make test` runs these tests, and its make would count this one as one of its own.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, env=own)


def one_line(text):
    return text.count("\n") == 1 and "Traceback" not in text


# --- targets ---


def test_help_names_every_target(project, launcher):
    for words in (["help"], ["--help"], ["-h"], []):
        done = call(project, *words)
        assert done.returncode == 0
        assert re.findall(r"^  (\S+)", done.stdout, re.M) == list(launcher.TARGETS)


def test_help_lists_the_targets_for_learning_first(project, launcher):
    lines = call(project, "help").stdout.splitlines()
    learning, maintaining = lines.index("To learn:"), lines.index("To maintain the project:")
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    first = [line.split()[0] for line in lines[learning + 1 : maintaining - 1]]
    assert first == list(launcher.LEARNING) and first[:2] == ["stages", "stage"]
    assert names[len(first) :] == list(launcher.MAINTAINING)


def test_help_fits_a_terminal(project):
    assert max(map(len, call(project, "help").stdout.splitlines())) <= 80


def test_makefile_and_launcher_have_the_same_targets(launcher):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    listed = dict(re.findall(r"^(ALONE|WITH_N) := (.*)$", makefile, re.M))
    assert re.search(r"^TARGETS := (.*)$", makefile, re.M)[1] == "$(ALONE) $(WITH_N)"
    assert re.findall(r"^(\S+):$", makefile, re.M) == ["$(TARGETS)"]
    names = " ".join(listed.values()).split()
    assert sorted(names) == sorted(launcher.TARGETS)


def test_every_target_that_is_a_script_has_it(launcher):
    for action, _ in launcher.TARGETS.values():
        if not callable(action) and action[0] != "-m":
            assert (ROOT / action[0]).is_file() or (ROOT / action[0] / "__main__.py").is_file()
    for extra in launcher.EXTRAS:
        assert (ROOT / extra[0]).is_file()
    for stage, script in launcher.ABLATIONS.items():
        assert (ROOT / stage).is_dir() and (ROOT / script).is_file()


def test_unknown_target(project):
    done = call(project, "tabel")
    assert done.returncode == 2
    assert one_line(done.stderr) and "'tabel'" in done.stderr and "help" in done.stderr


@pytest.mark.parametrize("target", ["stage", "diff"])
@pytest.mark.parametrize("words", [["9"], ["x"], ["5"], ["0"], ["--steps", "4"], [""], []])
def test_a_stage_that_is_not_there(project, target, words):
    done = call(project, target, *words)
    assert done.returncode == 2
    assert one_line(done.stderr) and "01_first, 04_fourth" in done.stderr


@pytest.mark.parametrize("word", ["1", "01", "01_first", "01_first/"])
def test_a_stage_gets_its_arguments_untouched(project, tmp_path_factory, word):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = call(project, "stage", word, "--steps", "5", "--text=a  b", "", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    printed = ast.literal_eval(done.stdout)
    assert printed["arguments"] == ["--steps", "5", "--text=a  b", ""]
    assert Path(printed["folder"]) == elsewhere.resolve()


def test_the_status_of_a_child_is_passed_on(project):
    assert call(project, "stage", "1", "--status", "7").returncode == 7


@posix_only
def test_a_child_that_dies_of_a_signal(project):
    write(project / "04_fourth" / "main.py", "import os\nos.kill(os.getpid(), 15)\n")
    assert call(project, "stage", "4").returncode == 128 + 15


def test_a_run_that_left_a_result_is_followed_by_its_pictures(project):
    """Nobody waits for them: the launcher ends while they are drawn, at a low priority."""
    folder = project / "tools"
    write(folder / "plots.py", WAITING_PLOTS)
    result = project / "out/04_fourth/result.json"
    write(result, "{}")
    os.utime(result, (1, 1))  # an old one
    assert "pictures" not in call(project, "stage", "4").stdout
    saves = f"from pathlib import Path\nPath({str(result)!r}).write_text('{{}}')\n"
    write(project / "04_fourth/main.py", f'"""An idea."""\n\n{saves}')
    assert "drawn into out/04_fourth\n" in call(project, "stage", "4").stdout
    assert not (folder / "drawn").exists()
    write(folder / "go", "")
    began = time.monotonic()
    while not (folder / "drawn").exists() and time.monotonic() - began < 20:
        time.sleep(0.05)
    own = os.nice(0) if hasattr(os, "nice") else 0
    assert (folder / "drawn").read_text(encoding="utf-8") == f"04 nice {min(19, own + 10)}"


def test_pictures_that_fail_change_nothing_for_the_run(project):
    write(project / "tools/plots.py", "raise SystemExit(1)\n")
    result = project / "out/04_fourth/result.json"
    write(result, "{}")
    touch = f"from pathlib import Path\nPath({str(result)!r}).touch()\n"
    write(project / "04_fourth/main.py", f'"""An idea."""\n\n{touch}')
    assert call(project, "stage", "4").returncode == 0
    assert call(project, "stages").returncode == 0


def test_the_pictures_of_a_try_belong_to_the_try(project):
    write(project / "tools" / "plots.py", "")
    place = "out/04_fourth/tries/steps-5"
    result = project / place / "result.json"
    write(result, "{}")
    source = f"from pathlib import Path\nPath({str(result)!r}).touch()\n"
    write(project / "04_fourth/main.py", source)
    assert f"drawn into {place}\n" in call(project, "stage", "4", "--steps=5").stdout


LEARN = 'import sys\n\nprint(*sys.argv[1:])\n'


@needs_make
@pytest.mark.parametrize(("words", "passed"), [
    (["check"], "check"),
    (["check", "3", "ARGS=-v"], "check 3 -v"),
    (["start", "03", "EXERCISE=log-softmax"], "start 03 --exercise log-softmax"),
    (["class", "some/folder"], "class some/folder"),
])  # fmt: skip
def test_the_commands_of_the_learner(project, words, passed):
    write(project / "tools" / "learn" / "__main__.py", LEARN)
    done = make(project, *words)
    assert (done.returncode, done.stdout) == (0, f"{passed}\n"), done.stderr


# --- the PyTorch twin of a stage ---


@pytest.fixture
def twin(project):
    """The made-up project, with a twin in its fourth stage that prints its arguments."""
    write(project / "04_fourth" / "torch_twin.py", TWIN)
    return project


@pytest.mark.parametrize("words", [[], ["--seed", "7"], ["--data=a b.txt", "--seed=7"]])
def test_a_twin_runs_after_main_with_the_same_words(twin, words):
    done = call(twin, "stage", "4", *words)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == " ".join(["the fourth ran\nthe twin ran", *words]) + "\n"


@pytest.mark.parametrize("words", [["--steps", "5"], ["--seed", "7", "--out=here"], ["--help"]])
def test_a_twin_does_not_run_with_flags_that_are_not_its_own(twin, words):
    done = call(twin, "stage", "4", *words)
    assert done.returncode == 0 and done.stderr == ""
    ran, how = done.stdout.splitlines()
    assert ran == "the fourth ran" and how.endswith(f"{sys.executable} 04_fourth/torch_twin.py")


@pytest.mark.parametrize("status", [1, 2, 130])
def test_a_twin_does_not_run_after_a_main_that_failed_or_was_interrupted(twin, status):
    write(twin / "04_fourth" / "main.py", f"raise SystemExit({status})\n")
    done = call(twin, "stage", "4")
    assert (done.returncode, done.stdout) == (status, "")


def test_the_status_of_a_twin_is_passed_on(twin):
    write(twin / "04_fourth" / "torch_twin.py", "raise SystemExit(7)\n")
    assert call(twin, "stage", "4").returncode == 7


def test_stages_keeps_what_main_and_its_twin_print(twin):
    output = twin / "out" / "04_fourth" / "output.txt"
    assert call(twin, "stages").returncode == 0
    both = "the fourth ran\nthe twin ran\n"
    assert output.read_text(encoding="utf-8") == both
    assert call(twin, "stages", "--seed", "7").returncode == 0  # tries, elsewhere
    assert output.read_text(encoding="utf-8") == both
    write(twin / "04_fourth" / "torch_twin.py", "print('stopped')\nraise SystemExit(130)\n")
    assert call(twin, "stages").returncode == 130
    assert output.read_text(encoding="utf-8") == "the fourth ran\nstopped\n"
    write(twin / "04_fourth" / "torch_twin.py", "print('broken')\nraise SystemExit(1)\n")
    assert call(twin, "stages").returncode == 1
    assert output.read_text(encoding="utf-8") == "the fourth ran\nstopped\n"


# --- stages, extras, ablations ---


def test_stages_keeps_what_each_stage_prints(project):
    done = call(project, "stages")
    assert done.returncode == 0, done.stderr
    assert "stage 1 of 2: 01_first: The first idea." in done.stdout
    assert "stage 2 of 2: 04_fourth: The fourth idea." in done.stdout
    kept = (project / "out" / "01_first" / "output.txt").read_bytes().decode("utf-8")
    assert ast.literal_eval(kept)["arguments"] == []
    assert ast.literal_eval(kept)["text"] == "é" and kept in done.stdout
    assert (project / "out" / "04_fourth" / "output.txt").read_bytes() == b"the fourth ran\n"
    assert not list(project.glob("out/*/*.part"))
    assert done.stdout.index("the fourth ran") < done.stdout.index("Not run yet: 01_first")
    assert re.fullmatch(r"\d+ min \d+ s in all", done.stdout.splitlines()[-1])


def test_stages_with_other_settings_passes_them_on_and_keeps_no_output(project):
    """The output belongs to the stage's own run, and these are tries."""
    done = call(project, "stages", "--steps", "5")
    assert done.returncode == 0, done.stderr
    assert "'arguments': ['--steps', '5']" in done.stdout
    assert not (project / "out").exists()


PUT_RESULT = '''"""An idea."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path)
parser.add_argument("--out", type=Path)
args, more = parser.parse_known_args()
place = Path(__file__)
stage = place.parent.name
print(place.stem, "of", stage, "ran on", args.data.name, *more)
args.out.mkdir(parents=True)
result = {
    "stage": stage, "idea": "an idea", "unit": "nats/char", "params": 1, "chars_seen": 1,
    "dataset": {"name": args.data.stem, "sha256": args.data.stem}, "targets": {"val": 1},
    "seconds": 1, "loss": {"val": 1.5}, "variant": None if place.stem == "main" else "twin",
}
(args.out / "result.json").write_text(json.dumps(result), encoding="utf-8")
'''


@pytest.fixture
def own(twin):
    """The made-up project with names and a text, and a twin and stages that write results."""
    for file in ("04_fourth/main.py", "04_fourth/torch_twin.py", "06_sixth/main.py"):
        write(twin / file, PUT_RESULT)
    write(twin / "my names.txt", "emma\n")
    write(twin / "my_text.txt", "To be\n")
    return twin


def test_stages_on_own_names_and_text_have_a_folder_and_a_table_of_their_own(own):
    done = call(own, "stages", "--data", "my names.txt", "--text=my_text.txt", cwd=own)
    assert done.returncode == 0, done.stderr
    ran = re.findall("^.* ran on .*$", done.stdout, re.M)
    assert ran == [
        "main of 04_fourth ran on my names.txt",
        "torch_twin of 04_fourth ran on my names.txt",
        "main of 06_sixth ran on my_text.txt",
    ]
    out = own / "out" / "own" / "my-names"
    places = {path.parent.relative_to(out).as_posix() for path in out.rglob("result.json")}
    assert places == {"04_fourth", "04_fourth/twin", "06_sixth"}
    assert "left out: 01_first; " in done.stdout and "stage 2 of 2: 06_sixth" in done.stdout
    assert done.stdout.index("my names, nats/char") < done.stdout.index("my_text, nats/char")
    assert "Not run yet" not in done.stdout and str(out) in done.stdout
    assert [path.name for path in (own / "out").iterdir()] == ["own"]


@pytest.mark.parametrize(
    "words, folder, ran",
    [
        (["--data=my names.txt"], "own/my-names", ["04_fourth", "04_fourth/twin"]),
        (["--data", "my names.txt", "--seed", "7"], "own/my-names,seed-7", None),
        (["--data", "my names.txt", "--steps=5"], "own/my-names,steps-5", ["04_fourth"]),
        (["--text", "my_text.txt"], "own/my_text", ["06_sixth"]),
        (["--text", "my_text.txt", "--out=out/here"], "here", ["06_sixth"]),
    ],
)
def test_own_data_of_one_kind_runs_its_stages_alone(own, words, folder, ran):
    done = call(own, "stages", *words, cwd=own)
    assert done.returncode == 0, done.stderr
    out = own / "out" / folder
    places = [path.parent.relative_to(out).as_posix() for path in out.rglob("result.json")]
    assert sorted(places) == (ran or ["04_fourth", "04_fourth/twin"])
    left_out = "01_first, 06_sixth" if ran != ["06_sixth"] else "01_first, 04_fourth"
    assert f"left out: {left_out}; --data FILE" in done.stdout


@pytest.mark.parametrize("words", [["--data", "none.txt"], ["--text=none.txt"], ["--data"]])
def test_own_data_that_is_not_there_costs_one_line(own, words):
    done = call(own, "stages", *words, cwd=own)
    assert (done.returncode, done.stdout) == (2, "")
    assert one_line(done.stderr) and words[0].split("=")[0] in done.stderr
    assert not (own / "out").exists()


def test_own_data_that_no_stage_can_learn_from_ends_without_a_table(own):
    write(own / "04_fourth" / "main.py", '"""An idea."""\n\nraise SystemExit(2)\n')
    done = call(own, "stages", "--data=my names.txt", cwd=own)
    assert done.returncode == 2
    assert one_line(done.stderr) and "04_fourth failed with status 2" in done.stderr


def test_stages_stops_at_a_failure(project):
    write(project / "out" / "01_first" / "output.txt", "from an earlier run\n")
    done = call(project, "stages", "--status", "3")
    assert done.returncode == 3
    assert one_line(done.stderr) and "01_first failed with status 3" in done.stderr
    assert "the fourth ran" not in done.stdout and "Not run yet" in done.stdout
    kept = (project / "out" / "01_first" / "output.txt").read_text(encoding="utf-8")
    assert kept == "from an earlier run\n"


def test_stages_goes_on_after_the_last_finished_one(project):
    write(project / "04_fourth" / "main.py", FIRST + "sys.exit(3)\n")
    assert call(project, "stages").returncode == 3
    write(project / "out" / "01_first" / "checkpoint.pt", "left by another run")
    write(project / "out" / "04_fourth" / "checkpoint-before.json", "left by a run")
    write(project / "04_fourth" / "main.py", FIRST)
    done = call(project, "stages")
    assert done.returncode == 0, done.stderr
    assert "ended after 01_first" in done.stdout and "ARGS=--again" in done.stdout
    assert "stage 2 of 2" in done.stdout and "stage 1 of 2" not in done.stdout
    assert "'arguments': ['--resume']" in done.stdout
    done = call(project, "stages")  # all were finished: from the start
    assert "stage 1 of 2" in done.stdout and "stage 2 of 2" in done.stdout
    assert done.stdout.count("'arguments': ['--resume']") == 2
    assert not (project / "out" / "finished.txt").exists()


def test_stages_again_repeats_what_is_finished(project):
    write(project / "04_fourth" / "main.py", FIRST + "sys.exit(3)\n")
    write(project / "out" / "01_first" / "checkpoint.pt", "left by a run")
    assert call(project, "stages").returncode == 3
    done = call(project, "stages", "--again")
    assert done.returncode == 3 and "ended after" not in done.stdout
    assert "stage 1 of 2" in done.stdout and "'arguments': []" in done.stdout
    done = call(project, "stages", "--seed", "7")  # another series
    assert "stage 1 of 2" in done.stdout and "'--seed', '7'" in done.stdout
    assert (project / "out" / "finished.txt").read_text(encoding="utf-8") == "01_first"


def interrupt(project, *words, send=lambda child: os.killpg(child.pid, signal.SIGINT)):
    """Start run.py, press Ctrl-C once its stage is ready, return (status, everything printed)."""
    child = subprocess.Popen(
        [sys.executable, project / "run.py", *words],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # a process group of its own, as a terminal gives it
    )
    seen = ""
    while "ready" not in seen:
        line = child.stdout.readline()
        assert line, "the stage ended before it was ready"
        seen += line
    send(child)
    rest, _ = child.communicate(timeout=30)
    return child.returncode, seen + rest


@posix_only
def test_ctrl_c_waits_for_the_stage(project):
    write(project / "01_first" / "main.py", SLOW)
    status, printed = interrupt(project, "stage", "1")
    assert status == 130
    assert (project / "01_first" / "kept.txt").exists()
    assert printed.endswith("stopped early\n")


@posix_only
def test_sigterm_is_passed_on_to_the_stage(project):
    handler = "import signal\nsignal.signal(signal.SIGTERM, signal.default_int_handler)\n"
    write(project / "01_first" / "main.py", SLOW.replace("try:\n", handler + "try:\n"))
    status, printed = interrupt(project, "stages", send=lambda child: child.terminate())
    assert status == 130 and (project / "01_first" / "kept.txt").exists()
    assert "stopped early" in printed and "the fourth ran" not in printed


@posix_only
def test_a_stop_that_comes_too_late_for_a_stage_starts_no_other(project):
    ends_well = SLOW.replace("sys.exit(130)", "sys.exit(0)")
    write(project / "01_first" / "main.py", ends_well)
    status, printed = interrupt(project, "stages")
    assert status == 130 and "the fourth ran" not in printed


@posix_only
def test_ctrl_c_ends_stages_with_the_table(project):
    write(project / "01_first" / "main.py", SLOW)
    status, printed = interrupt(project, "stages")
    assert status == 130
    assert "the fourth ran" not in printed and "Not run yet" in printed
    kept = (project / "out" / "01_first" / "output.txt").read_text(encoding="utf-8")
    assert kept == "ready\nstopped early\n"


def test_extras_run_in_turn_and_stop_at_a_failure(project, launcher):
    for script, *_ in launcher.EXTRAS:
        write(project / script, "import sys\nprint('ran', *sys.argv[1:])\n")
    for name in ("table", "plots"):
        write(project / "tools" / f"{name}.py", f"print('the {name}')\n")
    done = call(project, "extras", "--seed", "7")
    ran = [line for line in done.stdout.splitlines() if line and not line.startswith("===")]
    flags = [[*flags, "--seed", "7"] for _, *flags in launcher.EXTRAS]
    assert ran == [*(" ".join(["ran", *words]) for words in flags), "the table"]
    write(project / launcher.EXTRAS[1][0], "raise SystemExit(3)\n")
    done = call(project, "extras")
    assert done.returncode == 3 and done.stdout.count("ran") == 1
    assert one_line(done.stderr) and launcher.EXTRAS[1][0] in done.stderr


def test_families_are_followed_by_their_pictures(project):
    write(project / "extras/families.py", "import sys\nprint(*sys.argv[1:])\nsys.exit(3)\n")
    write(project / "tools/plots.py", "import sys\nprint(*sys.argv[1:], file=sys.stderr)\n")
    done = call(project, "families", "--again")
    assert (done.returncode, done.stdout) == (3, "--again\n")
    assert done.stderr == "--stage 05\n"


def test_ablations_of_a_stage(project):
    for stage in ("05_microgpt", "06_shakespeare_gpt"):
        write(project / stage / "main.py", FOURTH)
    write(project / "extras" / "ablate_microgpt.py", "import sys\nprint('05', *sys.argv[1:])\n")
    write(project / "extras" / "ablate_shakespeare.py", "print('06')\n")
    assert call(project, "ablate", "5", "--only", "gelu").stdout == "05 --only gelu\n"
    assert call(project, "ablate", "06").stdout == "06\n"
    done = call(project, "ablate", "1")
    assert done.returncode == 2 and one_line(done.stderr)
    assert "01_first has no ablations" in done.stderr and "05_microgpt" in done.stderr


def test_diff_says_what_a_stage_changes(project):
    done = call(project, "diff", "4")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("01_first -> 04_fourth\nThe fourth idea.\n")
    assert "make diff 4 ARGS=--full" in done.stdout and "\x1b" not in done.stdout


def test_the_full_diff_counts_and_shows_lines(project):
    done = call(project, "diff", "4", "--full")
    summary, diff = done.stdout.split("\n", 1)
    added = len(re.findall(r"^\+(?!\+\+ )", diff, re.M))
    removed = len(re.findall(r"^-(?!-- )", diff, re.M))
    assert summary == (
        f"01_first/main.py to 04_fourth/main.py: {added} lines added, {removed} removed"
    )
    assert '-"""The first idea.\n' in diff and '+"""The fourth idea."""\n' in diff
    assert "\x1b" not in diff


def test_diff_of_the_first_stage(project):
    done = call(project, "diff", "1")
    assert done.returncode == 2 and one_line(done.stderr)


# --- the environment ---


def test_pins_follow_the_version_of_python(launcher, tmp_path):
    path = tmp_path / "pins.txt"
    write(
        path,
        "# a comment\n\ntorch==2.13.0  # why\n"
        'numpy==2.2.6; python_version < "3.11"\nnumpy==2.4.6 ; python_version >= "3.11"  # why\n',
    )
    assert launcher.read_pins(path, (3, 10)) == [("torch", "2.13.0"), ("numpy", "2.2.6")]
    assert launcher.read_pins(path, (3, 11)) == [("torch", "2.13.0"), ("numpy", "2.4.6")]
    assert launcher.read_pins(path, (3, 9))[1] == ("numpy", "2.2.6")


@pytest.mark.parametrize("line", [
    "torch", "torch>=2", "-e .", 'torch==2; os_name == "nt"', 'torch==2; sys_platform < "win32"',
    'torch==2; python_version < "3"', 'torch==2; sys_platform == "a" or sys_platform == "b"',
])  # fmt: skip
def test_a_line_that_is_no_pin(launcher, tmp_path, line):
    write(tmp_path / "pins.txt", line)
    with pytest.raises(ValueError, match="^pins.txt: .*name==version"):
        launcher.read_pins(tmp_path / "pins.txt", (3, 12))


def test_the_committed_requirements_can_be_read(launcher):
    for minor in (10, 11, 12, 13, 14):
        names = [name for name, _ in launcher.read_pins(ROOT / "requirements.txt", (3, minor))]
        dev = [name for name, _ in launcher.read_pins(ROOT / "requirements-dev.txt", (3, minor))]
        wanted = {"torch", "numpy", "matplotlib", "rich", "pytest"}
        assert set(names) == wanted | ({"tomli"} if minor == 10 else set())
        assert {"hypothesis", "ruff", "jupytext", "nbclient"} <= set(dev)
        assert len(set(names + dev)) == len(names) + len(dev)


def test_pins_follow_the_system_and_its_processor(launcher, tmp_path):
    path = tmp_path / "pins.txt"
    write(
        path,
        'a==1; sys_platform != "darwin"\n'
        'b==2; sys_platform == "darwin" and platform_machine == "x86_64"  # why\n'
        'c==3; python_version >= "3.9" and python_version < "3.11" and platform_machine != "arm64"',
    )

    def names(python, *machine):
        return "".join(name for name, _ in launcher.read_pins(path, python, *machine))

    assert names((3, 10), "linux", "x86_64") == names((3, 10), "win32", "AMD64") == "ac"
    assert names((3, 10), "linux", "arm64") == names((3, 11), "linux", "x86_64") == "a"
    assert names((3, 10), "darwin", "x86_64") == "bc"
    assert names((3, 8), "darwin", "x86_64") == "b"
    assert names((3, 10), "darwin", "arm64") == ""


SYSTEMS = [("linux", "x86_64"), ("linux", "aarch64"), ("win32", "AMD64"), ("darwin", "arm64")]


@pytest.mark.parametrize("python", [(3, minor) for minor in range(10, 15)])
def test_every_system_gets_one_version_of_each_package(launcher, python):
    usual = launcher.read_pins(ROOT / "requirements.txt", python, *SYSTEMS[0])
    for system in SYSTEMS:
        assert launcher.read_pins(ROOT / "requirements.txt", python, *system) == usual
    intel = launcher.read_pins(ROOT / "requirements.txt", python, "darwin", "x86_64")
    assert sorted(name for name, _ in intel) == sorted(name for name, _ in usual)
    assert {pin for pin in intel if pin not in usual} == {("torch", "2.2.2"), ("numpy", "1.26.4")}


def test_pip_reads_the_markers_as_the_launcher_does(launcher):
    """packaging is what pip uses; pytest brings it."""
    markers = pytest.importorskip("packaging.markers")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    for minor in range(10, 15):
        for system, machine in [*SYSTEMS, ("darwin", "x86_64")]:
            facts = {"python_version": f"3.{minor}", "sys_platform": system}
            facts["platform_machine"] = machine
            pins = []
            for pin, _, marker in (line.partition(";") for line in lines if line):
                if not marker or markers.Marker(marker).evaluate(facts):
                    pins.append(tuple(pin.split("==")))
            path = ROOT / "requirements.txt"
            assert launcher.read_pins(path, (3, minor), system, machine) == pins


@pytest.mark.parametrize(
    ("installed", "wanted", "answer"),
    [
        ("2.13.0", "2.13.0", True),
        ("2.13.0+cpu", "2.13.0", True),
        ("2.13.0+cpu", "2.13.0+cpu", True),
        ("2.13.0", "2.13.0+cpu", False),
        ("2.13.1", "2.13.0", False),
        ("2.1", "2.13.0", False),
    ],
)
def test_versions_that_satisfy(launcher, monkeypatch, installed, wanted, answer):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed)
    assert launcher.satisfied([("torch", wanted)]) is answer


def test_a_package_that_is_not_installed(launcher):
    assert launcher.satisfied([("no-such-package-here", "1.0")]) is False


class FakeInstaller:
    """Takes the place of the launcher's run(): notes each command and makes the venv's Python."""

    def __init__(self, launcher, monkeypatch):
        self.launcher, self.commands, self.failing, self.installed = launcher, [], None, set()
        monkeypatch.setattr(launcher, "run", self.run)
        monkeypatch.setattr(launcher, "venv_is_complete", launcher.VENV_PYTHON.exists)
        monkeypatch.setattr(launcher, "venv_has", self.venv_has)

    def run(self, command, **options):
        files = [word for word in command if str(word).endswith(".txt")]
        kind = f"pip {' '.join(file.name for file in files)}" if "pip" in command else "venv"
        self.commands.append(kind)
        if kind == "venv":
            shutil.rmtree(self.launcher.VENV, ignore_errors=True)
        write(self.launcher.VENV_PYTHON, "a Python")
        if kind == self.failing:
            return 1
        self.installed = self.installed | self.texts(files) if "pip" in command else set()
        return 0

    def venv_has(self, files):
        return self.launcher.VENV_PYTHON.exists() and self.texts(files) <= self.installed

    def texts(self, files):
        return {file.read_text(encoding="utf-8") for file in files}

    def commands_of(self, **options):
        """What is run to get a Python that has what is asked for."""
        self.commands.clear()
        self.launcher.find_python(**options)
        return list(self.commands)


BASE, DEV = "pip requirements.txt", "pip requirements.txt requirements-dev.txt"


@pytest.fixture
def installer(launcher, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # whoever has set up pip gets pip, also where uv is
    write(launcher.REQUIREMENTS, "no-such-package-here==1.0\n")
    write(launcher.DEV_REQUIREMENTS, "nor-this-one==1.0\n")
    return FakeInstaller(launcher, monkeypatch)


def test_the_running_python_is_used_where_it_will_do(launcher, installer):
    write(launcher.REQUIREMENTS, f"pytest=={importlib.metadata.version('pytest')}\n")
    assert launcher.find_python() == sys.executable
    write(launcher.DEV_REQUIREMENTS, f"rich=={importlib.metadata.version('rich')}\n")
    assert launcher.find_python(dev=True) == sys.executable
    assert installer.commands == [] and not launcher.VENV.exists()


def test_the_venv_is_made_once(launcher, installer, capsys):
    assert installer.commands_of() == ["venv", BASE]
    assert one_line(capsys.readouterr().out)
    assert installer.commands_of() == []
    assert capsys.readouterr().out == ""
    assert launcher.find_python() == str(launcher.VENV_PYTHON)


def test_what_only_tests_need_is_installed_when_it_is_needed(launcher, installer, capsys):
    installer.commands_of()
    capsys.readouterr()
    assert installer.commands_of(dev=True) == [DEV]
    printed = capsys.readouterr().out
    assert one_line(printed) and "requirements-dev.txt" in printed
    assert installer.commands_of(dev=True) == installer.commands_of() == []
    assert launcher.find_python(dev=True) == str(launcher.VENV_PYTHON)


def test_the_first_command_may_need_both_files(installer, capsys):
    assert installer.commands_of(dev=True) == ["venv", BASE, DEV]
    assert capsys.readouterr().out.count("\n") == 2


def test_a_python_that_lacks_only_what_tests_need_makes_a_venv_for_them(launcher, installer):
    write(launcher.REQUIREMENTS, f"pytest=={importlib.metadata.version('pytest')}\n")
    assert installer.commands_of() == []
    assert installer.commands_of(dev=True) == ["venv", BASE, DEV]


def test_changed_requirements_are_installed_into_the_same_venv(launcher, installer):
    installer.commands_of(dev=True)
    write(launcher.DEV_REQUIREMENTS, "nor-this-one==1.1\n")
    assert installer.commands_of() == []
    assert installer.commands_of(dev=True) == [DEV]
    write(launcher.REQUIREMENTS, "no-such-package-here==1.1\n")
    assert installer.commands_of() == [BASE]
    assert installer.commands_of(dev=True) == [DEV]  # the new packages must fit these as well
    assert installer.commands_of(dev=True) == installer.commands_of() == []


@pytest.mark.parametrize("failing", [BASE, DEV])
def test_a_failed_install_leaves_no_stamp_and_goes_on(launcher, installer, capsys, failing):
    installer.failing = failing
    with pytest.raises(SystemExit) as stop:
        launcher.find_python(dev=True)
    assert stop.value.code == 2 and one_line(capsys.readouterr().err)
    stamps = [path.name for path in launcher.VENV.glob("*.installed")]
    assert stamps == ([] if failing == BASE else ["requirements.txt.installed"])
    installer.failing = None
    assert installer.commands_of(dev=True) == ([BASE, DEV] if failing == BASE else [DEV])


@pytest.mark.parametrize("dev", [False, True])
def test_a_failed_reinstall_removes_the_old_stamp(launcher, installer, dev):
    installer.commands_of(dev=dev)
    changed = launcher.DEV_REQUIREMENTS if dev else launcher.REQUIREMENTS
    before = changed.read_text(encoding="utf-8")
    write(changed, "no-such-package-here==1.1\n")
    installer.failing = DEV if dev else BASE
    with pytest.raises(SystemExit):
        launcher.find_python(dev=dev)
    installer.failing = None
    write(changed, before)
    assert installer.commands_of(dev=dev) == [DEV if dev else BASE]


def test_a_venv_that_cannot_be_made_is_removed(launcher, installer, capsys):
    installer.failing = "venv"
    with pytest.raises(SystemExit) as stop:
        launcher.find_python()
    assert stop.value.code == 2 and one_line(capsys.readouterr().err)
    assert not launcher.VENV.exists()


def test_a_broken_venv_is_made_again(launcher, installer):
    installer.commands_of(dev=True)
    launcher.VENV_PYTHON.unlink()
    assert installer.commands_of() == ["venv", BASE]


@pytest.mark.parametrize("words", [["test"], ["lint"], ["notebooks"], ["notebook", "1"]])
def test_the_commands_that_need_more_ask_for_it(launcher, monkeypatch, words):
    asked = []

    def find_python(dev=False):
        asked.append(dev)
        return sys.executable

    monkeypatch.setattr(launcher, "find_python", find_python)
    monkeypatch.setattr(launcher, "run", lambda *command, **options: 0)
    monkeypatch.setattr(launcher.signal, "signal", lambda *_: None)  # or Ctrl-C ends no test run
    for target in (words, ["table"], ["stage", "1"], ["stages"], ["check-setup"], ["data"]):
        assert launcher.main(target) == 0
    assert asked == [True, False, False, False, False, False]


def test_a_missing_or_broken_python_in_the_venv_has_nothing(launcher):
    for _ in range(2):
        assert not launcher.venv_has([launcher.REQUIREMENTS]) and not launcher.venv_is_complete()
        write(launcher.VENV_PYTHON, "not a program")


# A pip for tests: it installs nothing but the metadata, where pip would put the packages.
PIP = '''import json
import os
import sys
from pathlib import Path

here = Path(__file__).parent
if "--help" in sys.argv:
    sys.exit()
if os.environ.get("PIP_USER") and "--no-user" not in sys.argv:
    sys.exit("Can not perform a '--user' install")
(here / "seen.json").write_text(json.dumps({"words": sys.argv[1:], **os.environ}))
place = Path(os.environ.get("PIP_TARGET") or os.environ.get("ELSEWHERE") or here.parent)
for file in [sys.argv[n + 1] for n, word in enumerate(sys.argv) if word == "-r"]:
    for line in Path(file).read_text().splitlines():
        name, version = line.split("==")
        info = place / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        text = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
        (info / "METADATA").write_text(text)
'''
INFO = "no_such_package_here-1.0.dist-info"


@pytest.fixture
def packages(project, launcher, monkeypatch):
    """The folder of the packages of a real .venv, with the pip above, in which nothing is yet."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # whoever has set up pip gets pip, also where uv is
    write(project / "requirements.txt", "no-such-package-here==1.0\n")
    command = [sys.executable, "-m", "venv", "--without-pip", launcher.VENV]
    subprocess.run(command, check=True)
    where = [launcher.VENV_PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    found = subprocess.run(where, check=True, capture_output=True, encoding="utf-8").stdout.strip()
    write(Path(found) / "pip" / "__main__.py", PIP)
    return Path(found)


def is_ready(project, launcher, packages):
    """Whether the packages were installed into .venv, and the stage ran there."""
    done = call(project, "stage", "4")
    stamp = launcher.VENV / "requirements.txt.installed"
    ran = done.returncode == 0 and done.stdout.endswith("the fourth ran\n") and done.stderr == ""
    return ran and (packages / INFO).is_dir() and stamp.is_file()


def test_pip_installs_into_the_venv_whatever_the_users_settings_say(
    project, launcher, packages, monkeypatch, tmp_path_factory
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "no_such_package_here-1.0.dist-info" / "METADATA", "Version: 1.0\n")
    foreign = {
        "PIP_USER": "1", "PIP_TARGET": str(elsewhere / "target"), "PIP_PREFIX": "p",
        "PIP_REQUIRE_HASHES": "1", "PYTHONPATH": str(elsewhere), "PYTHONSAFEPATH": "1",
    }  # fmt: skip
    kept = {"PIP_INDEX_URL": "https://example.org/simple", "PIP_CONSTRAINT": "c", "PIP_PROXY": "p"}
    for name, value in {**foreign, **kept, "HTTPS_PROXY": "p"}.items():
        monkeypatch.setenv(name, value)
    assert is_ready(project, launcher, packages)
    seen = json.loads((packages / "pip" / "seen.json").read_text(encoding="utf-8"))
    assert foreign.keys().isdisjoint(seen) and "--no-user" in seen["words"]
    assert kept.items() <= seen.items() and seen["HTTPS_PROXY"] == "p"
    assert not (elsewhere / "target").exists()


def test_a_pip_that_installs_elsewhere_costs_one_line_and_no_stamp(
    project, launcher, packages, monkeypatch, tmp_path_factory
):
    monkeypatch.setenv("ELSEWHERE", str(tmp_path_factory.mktemp("elsewhere")))
    for _ in range(2):
        done = call(project, "stage", "4")
        assert done.returncode == 2 and one_line(done.stderr)
        assert ".venv still lacks" in done.stderr and "pip config list" in done.stderr
        assert not list(launcher.VENV.glob("*.installed"))
    monkeypatch.delenv("ELSEWHERE")
    assert is_ready(project, launcher, packages)


def test_a_venv_that_lost_something_is_mended(project, launcher, packages):
    stamp, metadata = launcher.VENV / "requirements.txt.installed", packages / INFO / "METADATA"
    losses = {
        "nothing is there yet": lambda: None,
        "the package": lambda: shutil.rmtree(packages / INFO),
        "its version": lambda: write(metadata, "Name: no-such-package-here\nVersion: 0.9\n"),
        "half of it": lambda: write(metadata, ""),
        "the stamp": lambda: stamp.write_bytes(b"\xff\0garbage"),
    }
    for loss, lose in losses.items():
        lose()
        assert is_ready(project, launcher, packages), loss
        assert "Version: 1.0" in metadata.read_text(encoding="utf-8"), loss
    assert call(project, "stage", "4").stdout == "the fourth ran\n"  # and not each time again


def test_a_venv_whose_making_was_cut_off_is_made_again(project, launcher, packages, monkeypatch):
    """The script activate comes after pip, and half a pip cannot load its install command."""
    made = []

    def run(command, **options):
        if "venv" in command:
            made.append(command)
        return 1

    monkeypatch.setattr(launcher, "run", run)

    def makes_it_again():
        made.clear()
        with pytest.raises(SystemExit):
            launcher.find_python()
        return len(made) == 1 and "--clear" in made[0]

    assert launcher.venv_is_complete() and not makes_it_again()
    write(packages / "pip" / "__main__.py", "import pip._internal.cli.no_such_part\n")
    write(packages / "pip" / "__init__.py", "")
    assert makes_it_again()


def test_a_venv_without_its_last_script_is_not_complete(launcher, packages):
    assert launcher.venv_is_complete()
    launcher.VENV_PYTHON.with_name("activate").unlink()
    assert not launcher.venv_is_complete()


@posix_only
def test_ctrl_c_in_a_probe_installs_nothing(launcher, monkeypatch):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    with pytest.raises(SystemExit) as stop:
        launcher.succeeds([sys.executable, "-c", program])
    assert stop.value.code == 130


def test_a_file_called_venv_costs_one_line_and_stays(project, launcher):
    write(project / "requirements.txt", "no-such-package-here==1.0\n")
    write(launcher.VENV, "the name of an environment")
    done = call(project, "stage", "4")
    assert done.returncode == 2 and one_line(done.stderr) and ".venv is a file or" in done.stderr
    assert launcher.VENV.read_text(encoding="utf-8") == "the name of an environment"


@posix_only
def test_a_link_called_venv_that_leads_nowhere_costs_one_line(project, launcher):
    write(project / "requirements.txt", "no-such-package-here==1.0\n")
    launcher.VENV.symlink_to(project / "gone")
    done = call(project, "stage", "4")
    assert done.returncode == 2 and one_line(done.stderr) and "broken link" in done.stderr


def test_a_checkout_without_write_access_and_venv_costs_one_line(launcher, monkeypatch, capsys):
    monkeypatch.setattr(launcher, "has", lambda files: False)
    monkeypatch.setattr(launcher.os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit) as ended:
        launcher.find_python()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert one_line(err) and f"{launcher.ROOT} cannot be written to" in err


def test_a_stamp_that_is_a_folder_is_replaced(launcher, monkeypatch):
    stamp, note = launcher.stamp_of([launcher.REQUIREMENTS])
    write(stamp / "file", "in the way")
    monkeypatch.setattr(launcher, "venv_is_complete", lambda: True)
    monkeypatch.setattr(launcher, "run", lambda command, **_: 0)
    monkeypatch.setattr(launcher, "venv_has", lambda files: True)
    launcher.install([launcher.REQUIREMENTS])
    assert stamp.read_bytes() == note


@pytest.mark.parametrize("source, where", [
    ('"""An idea."""\n\nx = = 1\n', "04_fourth/main.py, line 3: invalid syntax"),
    ('"""An idea."""\ndef f(:\n', "04_fourth/main.py, line 2"),
    ('"""An idea."""\nif True:\nx = 1\n', "04_fourth/main.py, line 3"),
])  # fmt: skip
def test_a_mistake_in_the_learners_own_code_is_named_with_its_line(project, source, where):
    write(project / "04_fourth" / "main.py", source)
    done = call(project, "stages")
    assert done.returncode == 2 and one_line(done.stderr) and where in done.stderr
    done = call(project, "stage", "4")
    assert done.returncode == 1 and "SyntaxError" in done.stderr.replace("Indentation", "Syntax")
    assert 'main.py", line' in done.stderr


def test_a_stage_without_an_idea_runs(project):
    write(project / "04_fourth" / "main.py", "print('the fourth ran')\n")
    done = call(project, "stages")
    assert "=== stage 2 of 2: 04_fourth: \n" in done.stdout and "the fourth ran" in done.stdout


@pytest.mark.parametrize("content", [b"torch>=2\n", b"-e .\n", b"\xff\xfet\0o\0", b"\xff\n"])
def test_requirements_of_another_form_cost_one_line(project, content):
    (project / "requirements.txt").write_bytes(content)
    done = call(project, "stage", "4")
    assert done.returncode == 2 and one_line(done.stderr)
    assert done.stderr.startswith("run.py: requirements.txt: write ")
    assert "name==version" in done.stderr


def test_requirements_may_begin_with_a_byte_order_mark(project, launcher):
    (project / "requirements.txt").write_bytes(b"\xef\xbb\xbftorch==2.13.0\r\n")
    assert launcher.read_pins(launcher.REQUIREMENTS, (3, 12)) == [("torch", "2.13.0")]


def test_missing_requirements_cost_one_line(project):
    (project / "requirements.txt").unlink()
    done = call(project, "stage", "4")
    assert done.returncode == 2 and one_line(done.stderr) and "requirements.txt" in done.stderr


def test_a_venv_that_cannot_be_written_costs_one_line(launcher, packages, monkeypatch, capsys):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(SystemExit) as stop:
        launcher.find_python()
    printed = capsys.readouterr().err
    assert stop.value.code == 2 and one_line(printed) and "Permission denied" in printed
    assert "requirements.txt.installed" in printed


# --- what can be installed on this machine, and with what ---


@pytest.fixture
def machine(launcher, monkeypatch, tmp_path):
    """A function that makes the launcher believe that it runs on another machine."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)

    def fake(system="linux", processor="x86_64", bits=64, libc="gnu", python=(3, 12), programs=()):
        about = {"platform": system, "maxsize": 2 ** (bits - 1) - 1, "version_info": python}
        for name, value in about.items():
            monkeypatch.setattr(launcher.sys, name, value)
        monkeypatch.setattr(launcher.platform, "machine", lambda: processor)
        gnu = {"HOST_GNU_TYPE": f"{processor}-pc-linux-{libc}" if system == "linux" else None}
        monkeypatch.setattr(launcher.sysconfig, "get_config_var", gnu.get)
        which = {name: f"/bin/{name}" for name in programs}.get
        monkeypatch.setattr(launcher.shutil, "which", which)

    return fake


WITHOUT_TORCH = {
    "musl": dict(libc="musl"),
    "32-bit": dict(system="win32", processor="x86", bits=32),
    "Intel Macs": dict(system="darwin", python=(3, 13)),
}


@pytest.mark.parametrize("kind", WITHOUT_TORCH)
def test_a_machine_without_pytorch_is_told_so_before_pip_tries(
    launcher, installer, machine, capsys, kind
):
    write(launcher.REQUIREMENTS, "torch==0.1\n")
    machine(**WITHOUT_TORCH[kind])
    with pytest.raises(SystemExit) as stop:
        launcher.find_python()
    printed = capsys.readouterr()
    assert stop.value.code == 2 and one_line(printed.err) and printed.out == ""
    assert kind in printed.err and installer.commands == [] and not launcher.VENV.exists()
    how = "PYTHON=python3.12" if kind == "Intel Macs" else "01_micrograd/main.py"
    assert how in printed.err


def test_a_machine_without_pytorch_can_have_all_else(launcher, installer, machine):
    machine(libc="musl")
    assert installer.commands_of() == ["venv", BASE]


@pytest.mark.parametrize(("about", "settings", "says"), [
    (dict(system="darwin", processor="arm64"), [], r"about 230 MB\."),
    (dict(system="win32", processor="AMD64"), [], r"about 230 MB\."),
    (dict(processor="aarch64"), [], r"about 230 MB\."),
    (dict(programs=["nvidia-smi", "uv"]), [], r"about 3 GB, with PyTorch for NVIDIA GPUs\."),
    (dict(programs=["uv"]), [], r"about 230 MB, with PyTorch for CPUs\."),
    (dict(), [], r"about 3 GB, because .* 230 MB: .* PIP_EXTRA_INDEX_URL .* or install uv, .*"),
    (dict(), ["PIP_EXTRA_INDEX_URL"], "230 MB if pip finds .*, 3 GB if .* NVIDIA GPUs."),
    (dict(programs=["uv"]), ["UV_DEFAULT_INDEX"], "230 MB if .*, 3 GB if .*"),
])  # fmt: skip
def test_the_size_of_the_download_comes_first(
    installer, machine, monkeypatch, capsys, about, settings, says
):
    machine(**about)
    for name in settings:
        monkeypatch.setenv(name, "here")
    installer.commands_of()
    printed = capsys.readouterr().out
    assert one_line(printed)
    assert re.fullmatch(rf"Installing requirements.txt into .venv, once: {says}\n", printed)


# A uv for tests: it notes what it gets, and leaves the work to the pip above, or fails.
UV = '''#!{python}
import json
import os
import subprocess
import sys
from pathlib import Path

seen = {{"words": sys.argv[1:], **os.environ}}
Path(__file__).with_name("seen.json").write_text(json.dumps(seen))
if "FAIL" in Path(__file__).with_name("how").read_text():
    sys.exit("error: no such index")
python, files = sys.argv[4], sys.argv[sys.argv.index("-r"):]
sys.exit(subprocess.call([python, "-m", "pip", "install", "--no-user", *files]))
'''


@pytest.fixture
def uv(tmp_path_factory, monkeypatch):
    """The folder of the uv above, which is the first on the PATH."""
    folder = tmp_path_factory.mktemp("uv")
    write(folder / "uv", UV.format(python=sys.executable))
    (folder / "uv").chmod(0o755)
    write(folder / "how", "")
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    return folder


def seen(folder):
    return json.loads((folder / "seen.json").read_text(encoding="utf-8"))


@posix_only
def test_uv_installs_if_it_is_there(project, launcher, packages, uv, monkeypatch):
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "5")
    monkeypatch.setenv("UV_SYSTEM_PYTHON", "1")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert is_ready(project, launcher, packages)
    words = seen(uv)["words"]
    assert words[:4] == ["pip", "install", "--python", str(launcher.VENV_PYTHON)]
    assert words[4:-1] == ["--torch-backend", "auto", "-r"]
    assert Path(words[-1]) == project.resolve() / "requirements.txt"
    assert seen(uv)["UV_HTTP_TIMEOUT"] == "5"
    assert {"UV_SYSTEM_PYTHON", "PYTHONPATH"}.isdisjoint(seen(uv))


@posix_only
def test_uv_takes_the_users_index_for_all_packages(project, launcher, packages, uv, monkeypatch):
    monkeypatch.setenv("UV_INDEX_URL", "https://example.org/simple")
    assert is_ready(project, launcher, packages)
    assert "--torch-backend" not in seen(uv)["words"]
    assert seen(uv)["UV_INDEX_URL"] == "https://example.org/simple"


@posix_only
def test_pip_installs_where_uv_fails(project, launcher, packages, uv):
    write(uv / "how", "FAIL")
    done = call(project, "stage", "4")
    assert done.returncode == 0 and done.stdout.endswith("the fourth ran\n")
    assert "uv failed" in done.stdout and done.stderr == "error: no such index\n"
    assert (packages / INFO).is_dir()


@posix_only
def test_whoever_has_set_up_pip_gets_pip(project, launcher, packages, uv, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    assert is_ready(project, launcher, packages)
    assert not (uv / "seen.json").exists()


@pytest.mark.parametrize("status", [0, 130])
def test_pip_does_not_start_after_a_uv_that_was_stopped(launcher, machine, monkeypatch, status):
    machine(programs=["uv"])
    commands = []
    monkeypatch.setattr(launcher, "run", lambda command: commands.append(command) or status)
    assert launcher.install_with("/bin/uv", [launcher.REQUIREMENTS]) == status
    assert len(commands) == 1


# --- the user's own settings of Python ---

OWN = '''"""An idea."""

import helper

assert __doc__ and __debug__  # which PYTHONOPTIMIZE takes away
print(helper.__file__)
'''


def test_no_setting_of_the_users_python_reaches_a_stage(project, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("helper", "main", "tokens", "stages"):
        write(elsewhere / f"{name}.py", "raise SystemExit('not mine')\n")
    write(project / "01_first" / "main.py", OWN)
    write(project / "01_first" / "helper.py", "")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(elsewhere), ""]))
    done = call(project, "stage", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{project.resolve() / '01_first' / 'helper.py'}\n"
    assert "Not run yet" in call(project, "table").stdout


def test_packages_on_pythonpath_do_not_count(project, launcher, packages, monkeypatch):
    """The children would not find them."""
    write(project / "requirements.txt", "no-such-package-here==1.0\n")
    elsewhere = project / "elsewhere"
    write(elsewhere / INFO / "METADATA", "Name: no-such-package-here\nVersion: 1.0\n")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    done = call(project, "stage", "4")
    assert done.returncode == 0 and "Installing" in done.stdout, done.stderr


def test_an_older_python_is_told_so(launcher, monkeypatch, capsys):
    monkeypatch.setattr(launcher, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(SystemExit) as stop:
        launcher.main(["help"])
    assert stop.value.code == 2 and one_line(capsys.readouterr().err)


def test_an_older_python_can_read_the_launcher():
    ast.parse((ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_only_the_standard_library_is_imported():
    names = set()
    for node in ast.walk(ast.parse((ROOT / "run.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    assert "subprocess" in names
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_launcher_costs_under_half_a_second(project):
    names = ("pytest", "rich", "numpy", "hypothesis")
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in names]
    write(project / "requirements.txt", "\n".join(pins))
    main = project / "01_first" / "main.py"
    through, direct = [], []
    for _ in range(3):
        for times, command in ((through, ["run.py", "stage", "1"]), (direct, [main])):
            began = seconds_of_children()
            subprocess.run([sys.executable, *command], cwd=project, check=True, capture_output=True)
            times.append(seconds_of_children() - began)
    assert min(through) - min(direct) < 0.5


# --- test ---


@pytest.fixture
def pytest_words(launcher, monkeypatch):
    """The words that `run.py test` gives to pytest, on a computer with some cores."""
    commands = []
    monkeypatch.setattr(launcher, "find_python", lambda dev: sys.executable)
    monkeypatch.setattr(launcher, "run", lambda command, **_: commands.append(command) or 0)
    monkeypatch.setattr(launcher.signal, "signal", lambda *_: None)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def command(*words, cores=2, system="Linux"):
        if system == "Linux":
            affinity = {"sched_getaffinity": lambda _: set(range(cores))}
        else:
            affinity = {"cpu_count": lambda: cores}
        monkeypatch.setattr(launcher, "os", SimpleNamespace(environ=os.environ, **affinity))
        assert launcher.main(["test", *words]) == 0
        assert commands[-1][:3] == [sys.executable, "-m", "pytest"]
        return commands[-1][3:]

    return command


def test_the_tests_run_on_all_cores(pytest_words):
    words = ["tests/test_run.py", "-q", "-m", "slow", "-k", "s or n", "--lf", "-vx", "-rs"]
    assert pytest_words() == ["-n", "2", "--dist", "worksteal"]
    assert pytest_words(*words, cores=4) == ["-n", "4", "--dist", "worksteal", *words]
    assert pytest_words(cores=1) == []
    assert pytest_words(cores=64)[:2] == ["-n", "8"]
    assert pytest_words(cores=3, system="macOS")[:2] == ["-n", "3"]


def test_tests_on_all_cores_have_one_thread_each(monkeypatch):
    """conftest.py decides it, in each process that pytest-xdist starts."""
    show = "import conftest, os; print(os.environ.get('OMP_NUM_THREADS'))"

    def threads():
        path = os.pathsep.join([str(ROOT), str(ROOT / "tools")])
        env = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", show], env=env, capture_output=True, text=True)
        return done.stdout.strip()

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert threads() == "1"
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert threads() == "None"
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == "3"


@pytest.mark.parametrize("words", [
    ["-n", "0"], ["-n4"], ["--numprocesses=3"], ["-p", "no:xdist"], ["-pno:xdist"], ["-s"], ["-vs"],
    ["-qsx"], ["--capture=no"], ["--pdb"], ["-x", "--trace", "tests"],
])  # fmt: skip
def test_words_that_choose_the_processes_themselves(pytest_words, monkeypatch, words):
    assert pytest_words(*words) == words
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(words))
    assert pytest_words("tests/test_run.py") == ["tests/test_run.py"]


# --- make ---


@needs_make
@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["stage", "1"], []),
        (["stage", "N=1"], []),
        (["stage", "01_first"], []),
        (["stage", "1", "ARGS=--steps 5 --seed 7"], ["--steps", "5", "--seed", "7"]),
        (["stage", "N=1", "ARGS=--steps 5"], ["--steps", "5"]),
    ],
)
def test_make_runs_a_stage(project, words, arguments):
    (project / "1").mkdir()  # a file of that name must not count as done
    done = make(project, *words)
    assert done.returncode == 0 and done.stderr == ""
    assert one_line(done.stdout) and ast.literal_eval(done.stdout)["arguments"] == arguments


@needs_make
@pytest.mark.parametrize("words", [["stage", "9"], ["stage", "lint"], ["stage"], ["diff", "x"]])
def test_make_without_such_a_stage(project, words):
    done = make(project, *words)
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2
    assert len(ours) == 1 and "01_first, 04_fourth" in ours[0]


@needs_make
def test_a_word_after_the_target_is_no_target_of_its_own(project):
    """make start extras: extras is a set of exercises, and the target of that name does not run."""
    write(project / "extras" / "ngrams.py", "print('the target ran')\n")
    done = make(project, "start", "extras")
    assert done.returncode == 2 and "there is no stage 'extras'" in done.stderr
    write(project / "tools" / "learn" / "__main__.py", "import sys\nprint(sys.argv[1:])\n")
    done = make(project, "start", "extras", "EXERCISE=merge")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['start', 'extras', '--exercise', 'merge']\n"


# What a shell, make or both would act on. No word may hold an equals sign: make sets a variable.
HOSTILE = ["o'brien", 'a"b', "a;b", "a$b", "a$(shell touch made)b", "`touch made`", "a:b", "a%b",
           "a#b", "a|b", "a&b", "a*", "x.o", "lib(x.o)", "zo\u00e9", ".PHONY", "$$"]  # fmt: skip


@needs_make
@posix_only
def test_make_passes_a_name_on_unchanged(project):
    write(project / "tools" / "score.py", "import sys\nprint(sys.argv[1:])\n")
    for name in HOSTILE:
        quoted = name.replace('"', '\\"')
        for word, arguments in {
            name: name.split(),
            f"NAME={name}": [f"NAME={name}"],
            f'ARGS=--flag "{quoted} x" --last': ["--flag", f"{name} x", "--last"],
        }.items():
            done = make(project, "score", word)
            assert (done.returncode, done.stdout, done.stderr) == (0, f"{arguments}\n", "")
    assert not (project / "made").exists()


@needs_make
def test_a_name_that_is_a_target_runs_no_target(project, launcher):
    write(project / "tools" / "score.py", "import sys\nprint(sys.argv[1:])\n")
    for name in (*launcher.TARGETS, "Makefile"):
        if name != "score":
            done = make(project, "score", name)
            first, *rest = done.stdout.splitlines()
            assert (first, done.stderr) == (f"['{name}']", "")
            assert rest == (["make: 'Makefile' is up to date."] if name == "Makefile" else [])


@needs_make
def test_quotes_without_a_partner_cost_one_line(project):
    done = make(project, "stage", "1", "ARGS=--data 'names")
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2 and len(ours) == 1 and "quotes in pairs" in ours[0]


@needs_make
def test_what_make_passes_does_not_reach_the_children(project):
    write(project / "01_first" / "main.py", "import os\nprint(*os.environ)\n")
    assert "ZERO_N" not in make(project, "stage", "1", "ARGS=--x").stdout


@needs_make
def test_bare_make_is_help(project):
    assert make(project).stdout == call(project, "help").stdout


@needs_make
def test_make_runs_several_targets(project):
    done = make(project, "help", "table")
    assert "make TARGET" in done.stdout and "Not run yet" in done.stdout


@needs_make
def test_make_runs_a_target_beside_a_folder_of_its_name(project):
    write(project / "data" / "prepare.py", "import sys\nprint(sys.argv[1:])\n")
    assert make(project, "data", "ARGS=--check").stdout == "['--check']\n"


@needs_make
def test_make_leaves_variables_of_the_shell_alone(project, monkeypatch):
    monkeypatch.setenv("N", "9")
    monkeypatch.setenv("ARGS", "--status 3")
    assert ast.literal_eval(make(project, "stage", "1").stdout)["arguments"] == []


@needs_make
@posix_only
def test_make_takes_a_python_whose_path_has_a_space(project):
    python = project / "my tools" / "python"
    write(python, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for words in (["stage", "1"], ["help"], ["stage", "N=4"]):
        done = make(project, *words, f"PYTHON={python}")
        assert (done.returncode, done.stderr) == (0, ""), words


@needs_make
@pytest.mark.parametrize(("settings", "python"), [
    ({}, "python3"), ({"PYTHON": ""}, "python3"), ({"PYTHON": "python3.12"}, "python3.12"),
    ({"OS": "Windows_NT"}, "py"), ({"OS": "Windows_NT", "PYTHON": "python"}, "python"),
])  # fmt: skip
def test_the_python_that_make_starts(project, monkeypatch, settings, python):
    for name in ("PYTHON", "OS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    command = ["make", "-C", project, "--no-print-directory", "-n", "help"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.stdout.split() == [f'"{python}"', "run.py", "help"]


def test_readme_starts_python_by_a_name_that_each_system_has():
    """Only an active .venv has python on Debian and macOS; python3 on Windows may be a stub."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = text.split("## Two commands")[1].split("## The ladder")[0]
    assert "`python3 run.py stages`" in commands and "`py run.py stages`" in commands
    assert "source .venv/bin/activate" in commands and r"`.venv\Scripts\activate`" in commands
    assert "python run.py" not in text
