#!/usr/bin/env python3
"""Runs command-line cases: run_cases.py SEXTANT FIXTURES CASES [NAME...]

A case file holds cases; a case is a line `== name` and then lines of these kinds, in order:

  $ COMMAND          run by bash in a fresh folder; `sextant` is the program under test. Each `$` begins a step.
  file NAME          then lines beginning with `|`: a file made before the steps
  needs model        passed over, and said so, where SX_TEST_MODEL is not set
  needs grammars     the same for SX_TEST_GRAMMARS, the parsers of code, which the case then has
  > MORE             the command goes on, on a new line
  exit N             expected exit code of the step (default 0)
  out TEXT           standard output, exactly; several lines add up. `out` alone: nothing
  out~ PATTERN       regular expression found in standard output
  out! PATTERN       not found there
  err, err~, err!    the same for standard error
  json EXPRESSION    Python on standard output read as JSON, as `j`; `lines`: one JSON value a line. Must be true
  within SECONDS     the step must end in this time (default 60)

$FIXTURES, $BERT (a small model) and $MODEL (SX_TEST_MODEL) can be used. The environment is otherwise bare, so that nothing of the
user's settings plays in. Only Python's standard library is needed."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile


class Step:
    def __init__(self, command, line):
        self.command, self.line, self.exit, self.within = command, line, 0, 60
        self.checks = []


class Case:
    def __init__(self, name, path, line):
        self.name, self.path, self.line = name, path, line
        self.files, self.steps, self.needs_model, self.needs_grammars = {}, [], False, False


def read_cases(path):
    cases, file = [], None
    for number, raw in enumerate(open(path, encoding="utf-8"), 1):
        line = raw.rstrip("\n")
        if line.startswith("|") and file is not None:
            cases[-1].files[file] += line[1:].replace("\\0", "\0").replace("\\r", "\r") + "\n"
            continue
        file = None
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "==":
            cases.append(Case(rest, path, number))
        elif word == "file":
            file = rest
            cases[-1].files[file] = ""
        elif line == "needs model":
            cases[-1].needs_model = True
        elif line == "needs grammars":
            cases[-1].needs_grammars = True
        elif word == "$":
            cases[-1].steps.append(Step(rest, number))
        elif word == ">":
            cases[-1].steps[-1].command += "\n" + rest
        elif word == "exit":
            cases[-1].steps[-1].exit = int(rest)
        elif word == "within":
            cases[-1].steps[-1].within = float(rest)
        elif word in ("out", "out~", "out!", "err", "err~", "err!", "json"):
            cases[-1].steps[-1].checks.append((word, rest))
        else:
            sys.exit("%s:%d: not understood: %s" % (path, number, line))
    return cases


def check_step(step, folder, environment):
    """What is wrong, as a list of strings."""
    try:
        done = subprocess.run(["bash", "-c", step.command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=step.within)
    except subprocess.TimeoutExpired:
        return ["did not end within %g s" % step.within]
    out, err = (b.decode("utf-8", "replace") for b in (done.stdout, done.stderr))
    wrong = []
    if done.returncode != step.exit:
        wrong.append("exit %d, expected %d" % (done.returncode, step.exit))
    exact = {}
    for kind, text in step.checks:
        stream = out if kind.startswith("out") else err
        if kind in ("out", "err"):
            exact.setdefault(kind, []).append(text)
        elif kind.endswith("~") and not re.search(text, stream, re.M):
            wrong.append("%s has no %r" % (kind[:-1], text))
        elif kind.endswith("!") and re.search(text, stream, re.M):
            wrong.append("%s has %r" % (kind[:-1], text))
        elif kind == "json":
            names = {"json": json}
            try:
                names["lines"] = [json.loads(l) for l in out.splitlines() if l.strip()] if "lines" in text else None
                names["j"] = json.loads(out) if re.search(r"\bj\b", text) else None
                if not eval(text, names):
                    wrong.append("not true: %s" % text)
            except Exception as problem:
                wrong.append("%s: %s: %s" % (type(problem).__name__, problem, text))
    for kind, texts in exact.items():
        want = "" if texts == [""] else "".join(t + "\n" for t in texts)
        if (out if kind == "out" else err) != want:
            wrong.append("%s differs from what is expected:\n%s" % (kind, want))
    if wrong:
        wrong.append("standard output: %r\n    standard error: %r" % (out[:1500], err[:1500]))
    return wrong


def main():
    sextant, fixtures, folder = (os.path.abspath(a) for a in sys.argv[1:4])
    wanted = sys.argv[4:]
    model, grammars = os.environ.get("SX_TEST_MODEL", ""), os.environ.get("SX_TEST_GRAMMARS", "")
    cases = read_cases(folder) if os.path.isfile(folder) else \
        [c for f in sorted(os.listdir(folder)) if f.endswith(".cases") for c in read_cases(os.path.join(folder, f))]
    failed, passed_over, ran = 0, [], 0
    for case in cases:
        if wanted and case.name not in wanted:
            continue
        if case.needs_model and not model or case.needs_grammars and not grammars:
            passed_over.append(case.name)
            continue
        ran += 1
        scratch = tempfile.mkdtemp(prefix="sextant-case-")
        try:
            work, home, bin_folder = (os.path.join(scratch, n) for n in ("work", "home", "bin"))
            for made in (work, home, bin_folder):
                os.mkdir(made)
            os.symlink(sextant, os.path.join(bin_folder, "sextant"))
            for name, content in case.files.items():
                path = os.path.join(work, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8", newline="") as f:
                    f.write(content)
            environment = {"PATH": bin_folder + os.pathsep + os.environ["PATH"], "HOME": home, "TMPDIR": scratch, "LC_ALL": "C.UTF-8",
                           "FIXTURES": fixtures, "BERT": os.path.join(fixtures, "families", "bert"), "MODEL": model}
            if case.needs_grammars:
                environment["SEXTANT_GRAMMARS"] = grammars
            environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
            for step in case.steps:
                wrong = check_step(step, work, environment)
                if wrong:
                    failed += 1
                    print("FAILED %s (%s:%d)\n  $ %s\n    %s" % (case.name, os.path.basename(case.path), step.line, step.command,
                                                                 "\n    ".join(wrong)))
                    break
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if passed_over:
        print("passed over without SX_TEST_MODEL or SX_TEST_GRAMMARS: %s" % ", ".join(passed_over))
    print("%d cases, %d failed" % (ran, failed))
    # 77 is how a test tells meson that something was passed over; scripts/run-tests counts it in its last line.
    sys.exit(1 if failed or not ran else 77 if passed_over else 0)


if __name__ == "__main__":
    main()
