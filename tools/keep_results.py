"""Copy a complete run from out/ to results/, where it is the reference, and update the READMEs.

    python3 run.py reference
"""


import stages

import bench
import readme
import seeds
from atomic_write import write_atomically
from command_line import fail, run_tool
from table_rows import read_result

KEPT = {"result.json", "output.txt", "table.json"}  # and the pictures
KEPT_OF_MANY = {"result.json"}  # of runs two folders below a stage: seeds/43, ngram/names-3
TRIES = "tries"  # folders of runs with other settings, which are no reference
KEPT_BESIDE = ("*.png", "published/*.json", "score/temperatures.json")
BENCH = "bench.json"  # in results/, it is bench/MACHINE.json


def find_flaw(out, results):
    """One line that says why the run in `out` cannot be the reference, or "" if it can."""
    for stage in stages.STAGES:
        result, output = out / stage / "result.json", out / stage / "output.txt"
        if not result.exists() or not output.exists():
            return f"{stage} lacks its result or its output: run make stages"
        if output.stat().st_mtime < result.stat().st_mtime:
            return f"{stage} has run again since its output was kept: run make stages"
    for old in sorted(results.rglob("result.json")):
        new = old.parent.relative_to(results)
        if not (out / new / "result.json").exists():
            return f"{new.as_posix()} is in results/ but not in out/: run it, or delete it there"
    for stage in stages.STAGES:
        code = seeds.code_hash(stage)
        for folder in sorted((out / stage / "seeds").glob("*")):
            stamp = folder / seeds.STAMP
            if not stamp.exists() or stamp.read_text(encoding="utf-8").strip() != code:
                return f"{folder} is incomplete or comes from different code: run make seeds"
        for path in sorted((out / stage).rglob("result.json")):
            if TRIES in path.relative_to(out).parts:
                continue
            try:
                if read_result(path).get("interrupted"):
                    return f"{path} is from a run that was stopped early: run it again"
            except ValueError as error:
                return f"{path}: {error}"
    try:
        bench_reports(out)
    except (OSError, ValueError) as error:
        return f"out/{error}, or delete it"
    return ""


def bench_reports(out):
    """{its name in results/: the report of make bench}, which is empty if out/ has none."""
    if not (out / BENCH).exists():
        return {}
    report = bench.read_report(out / BENCH)
    return {f"bench/{bench.file_name(report['machine'])}": report}


def copy(out, results):
    """Copy the files to keep from the stages' folders and from `out` itself.

    For seeds and other runs in numbered folders, copy only the result, to keep results/ small.
    """
    for stage in stages.STAGES:
        for path in sorted((out / stage).rglob("*")):
            if TRIES in path.relative_to(out).parts:
                continue
            depth = len(path.relative_to(out / stage).parts) - 1
            picture = depth < 2 and path.suffix == ".png"
            if picture or path.name in (KEPT if depth < 2 else KEPT_OF_MANY):
                write_atomically(results / path.relative_to(out), path.read_bytes())
    for path in sorted(path for pattern in KEPT_BESIDE for path in out.glob(pattern)):
        write_atomically(results / path.relative_to(out), path.read_bytes())
    for name, report in bench_reports(out).items():
        bench.save(results / name, report)


def main():
    out, results = stages.ROOT / "out", stages.ROOT / "results"
    flaw = find_flaw(out, results)
    if flaw:
        return fail("reference", f"out/ is not copied: {flaw}")
    copy(out, results)
    print(f"{len(stages.STAGES)} stages copied from out/ to results/")
    return readme.main([], stages.ROOT)


if __name__ == "__main__":
    run_tool("reference", main)
