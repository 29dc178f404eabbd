"""What the project takes from elsewhere: licences, the workflow of GitHub, the container."""

import importlib.util
import json
import re
from importlib.metadata import PackageNotFoundError, metadata

import pytest
import run

from notebooks import JUPYTERLAB
from stages import ROOT

PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
PUBLISHING = (ROOT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
CONTAINER = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
PINS = {
    pin
    for file in (run.REQUIREMENTS, run.DEV_REQUIREMENTS)
    for python in ((3, 10), (3, 14))
    for pin in run.read_pins(file, python)
} | {("jupyterlab", JUPYTERLAB)}
PACKAGES = PAGE.split("## Packages")[1].split("##")[0]
LICENCES = dict(re.findall(r"^\| (\w[\w-]*) \| .+ \| (.+) \|$", PACKAGES, re.M)[1:])


# --- licences ---


def test_the_page_lists_every_pinned_package_and_no_other():
    assert LICENCES.keys() == {name for name, _ in PINS}


@pytest.mark.parametrize("name, version", sorted(PINS))
def test_the_licence_is_the_one_that_the_package_states(name, version):
    try:
        about = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    if about["Version"].split("+")[0] != version:
        pytest.skip(f"{name} {version} is not installed here")
    kinds = about.get_all("License-Expression", []) + about.get_all("License", [])
    kinds += [kind for kind in about.get_all("Classifier", []) if kind.startswith("License")]
    assert re.search(rf"(?<![\w-]){LICENCES[name]}(?![\w-])", "\n".join(kinds)), kinds


def test_the_page_lists_every_text():
    texts = re.findall(r"^\| (\w+\.txt) \|", PAGE, re.M)
    known = re.findall(r"^\| (\w+\.txt) \|", (ROOT / "data/README.md").read_text("utf-8"), re.M)
    assert texts == known and len(texts) == 3


def test_a_model_can_run_no_code():
    for path in [*ROOT.glob("0*_*/*.py"), *ROOT.glob("extras/*.py"), *ROOT.glob("tools/**/*.py")]:
        source = path.read_text(encoding="utf-8")
        for call in re.findall(r"torch\.load\(.*", source):
            assert "weights_only=True" in call, path
        assert not re.search(r"pickle\.loads?\(|allow_pickle=True|\bshelve\b", source), path


# --- the workflow and the container ---


def commands(text):
    return re.findall(r"python run\.py ([\w-]+)((?: [\w-]+)*)", text)


def test_every_command_is_a_target_of_run_py():
    assert [target for target, _ in commands(WORKFLOW)] == ["stages", "test"]
    assert [target for target, _ in commands(PUBLISHING)] == ["stages", "extras", "site"]
    assert [target for target, _ in commands(CONTAINER)] == ["check-setup"]
    for target, words in commands(WORKFLOW) + commands(PUBLISHING) + commands(CONTAINER):
        assert target in run.TARGETS
        assert words in ("", " --steps 20")


def test_the_workflow_can_only_read_and_ends():
    assert "permissions:\n  contents: read\n" in WORKFLOW
    assert WORKFLOW.count("permissions:") == 1 and "secrets." not in WORKFLOW
    assert "persist-credentials: false" in WORKFLOW
    assert max(map(int, re.findall(r"timeout-minutes: (\d+)", WORKFLOW))) <= 45


def test_only_the_job_that_runs_no_code_of_the_project_may_publish():
    build, deploy = PUBLISHING.split("\n  deploy:\n")
    assert "permissions:\n  contents: read\n" in build and build.count("permissions:") == 1
    assert "persist-credentials: false" in build and "write" not in build.split("jobs:")[1]
    writes = re.findall(r"^      ([\w-]+): write$", deploy, re.M)
    assert writes == ["pages", "id-token"]
    assert "run:" not in deploy and "checkout" not in deploy and "secrets." not in PUBLISHING
    uses = re.findall(r"uses: (.+)", PUBLISHING)
    assert uses and all(re.fullmatch(r"actions/[\w-]+@v\d+", use) for use in uses)
    assert PUBLISHING.count("runs-on:") == 2 <= PUBLISHING.count("timeout-minutes:")


def test_the_workflow_tests_three_systems_and_the_oldest_python():
    systems, pythons = (re.findall(r"\[(.+)\]", WORKFLOW)[i].split(", ") for i in (-2, -1))
    assert [name.split("-")[0] for name in systems] == ["ubuntu", "macos", "windows"]
    versions = [tuple(map(int, python.strip('"').split("."))) for python in pythons]
    assert versions[0] == run.OLDEST_PYTHON
    for version in versions:
        for file in (run.REQUIREMENTS, run.DEV_REQUIREMENTS):
            assert run.read_pins(file, version)


@pytest.mark.skipif(not importlib.util.find_spec("yaml"), reason="no package is pinned for YAML")
def test_the_workflow_is_yaml():
    """Jupytext brings a reader of YAML. It takes the key `on` for True."""
    import yaml

    read = yaml.safe_load(WORKFLOW)
    assert set(read[True]) == {"push", "pull_request", "workflow_dispatch"}
    job = read["jobs"]["test"]
    pythons = job["strategy"]["matrix"]["python"]
    assert all(isinstance(python, str) for python in pythons)  # 3.10 would be the number 3.1
    runs = [step["run"] for step in job["steps"] if "run" in step]
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(runs) + len(uses) == len(job["steps"]) and len(runs) == 3
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", use) for use in uses)
    (last,) = (step for step in job["steps"] if "if" in step)
    version = re.search(r"matrix.python == '(.+)'", last["if"])[1]
    assert version in pythons and f"python{version}/" in last["run"]


def test_the_container_is_json_with_a_python_that_the_project_supports():
    container = json.loads(CONTAINER)
    assert container["postCreateCommand"] == "python run.py check-setup"
    image, version = container["image"].split(":")
    assert image == "python" and f'"{version}"' in WORKFLOW
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
