#!/usr/bin/env python3
"""run_demos.py SEXTANT FIXTURES: runs every script of demos/ in a scratch home, as its README says, and looks for the right answer among the
first three hits of each search. The model is SX_TEST_MODEL; PDFs need pdftotext."""
import os
import re
import subprocess
import sys
import tempfile

program, fixtures = map(os.path.abspath, sys.argv[1:3])
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
demos = os.path.join(root, "demos")
model = os.environ.get("SX_TEST_MODEL")
if not model:
    sys.exit("SX_TEST_MODEL is not set: run `make model`, then `make test`")

# Script, its arguments, and for the words of each search what one of its first three hits begins with.
DEMOS = [
    ("code-base.sh", ["src/net"], {
        "wait before trying again when": "rate_limit.",
        "send several requests at once": "http_pool.",
        "a redirect without a Location": "http.c:",
        "events that come as a stream": "event_stream.h:"}),
    ("pdf-library.sh", [], {
        "why does the dough smell": "bread.pdf, page 2",
        "how long may a tram driver": "tramway.pdf, page 2",
        "what to do before winter": "roof-bees.pdf, page 3"}),
    ("documentation-site.sh", [], {
        "get everything back": "backup.html:",
        "who is allowed to throw": "people.html:",
        "HTTP 429 slow_down": "api.html:"}),
    ("csv-records.sh", [], {
        "read with the tips": "inventions.csv/braille:",
        "find out where a ship is": "inventions.csv/chronometer:",
        "save people from dying": "inventions.csv/penicillin:"}),
    ("compare-models.sh", ["src/net", "wait before trying again", "minilm", os.path.join(fixtures, "families", "bert")], {}),
]
failed = []


def check(good, what, said):
    if not good:
        failed.append(what)
        print(f"FAILED: {what}\n{said}")


def hits_of(said, words):
    """Places of the hits that a search prints."""
    begin = said.find(f'"{words}')
    end = said.find("\n$ ", begin)
    return re.findall(r"^ {1,3}\d+  -?\d+\.\d+  (.*)$", said[begin:end if end > 0 else None], re.M) if begin >= 0 else []


with tempfile.TemporaryDirectory(prefix="sextant-demos-") as home:
    os.mkdir(os.path.join(home, "bin"))
    os.symlink(program, os.path.join(home, "bin", "sextant"))
    environment = {"PATH": os.path.join(home, "bin") + ":" + os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "TMPDIR": home,
                   "SEXTANT_MODELS": os.path.dirname(model.rstrip("/"))}
    for script, arguments, answers in DEMOS:
        done = subprocess.run([os.path.join(demos, script), *arguments], cwd=root, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=280)
        said = done.stdout + done.stderr
        check(done.returncode == 0, f"{script}: exit {done.returncode}", said)
        for words, expected in answers.items():
            hits = hits_of(said, words)
            check(any(hit.startswith(expected) for hit in hits[:3]), f"{script}: {words}: {expected} is not in {hits[:3]}", said)
        searches = set(re.findall(r'^\$ sextant search .*?"(.+?)"(?!.*--json)', said, re.M))
        check(len(searches) == len(answers), f"{script}: {len(searches)} searches, {len(answers)} answers known", said)
        if script == "compare-models.sh":
            rows = re.findall(r"^(minilm|bert) +[\d.]+ s +\d+ chunks +(\d\.\d{3})  (\S+)$", said, re.M)
            check([row[0] for row in rows] == ["minilm", "bert"] and rows[0][2].startswith("rate_limit."), f"{script}: {rows}", said)
            check("rank correlation" in said, f"{script}: no comparison of two", said)
        else:
            check(re.search(r"^Chunks: \d+: \d+ embedded", said, re.M), f"{script}: nothing was embedded", said)
    left = sorted(name for name in os.listdir(home) if name != "bin" and not name.startswith("."))
    check(not left, f"left behind: {left}", "")
    known = {name for name in os.listdir(demos) if name.endswith(".sh")} - {"common.sh"}
    check(known == {script for script, _, _ in DEMOS}, f"demos that nobody tests: {known}", "")
print(f"{len(DEMOS)} demos, {len(failed)} failed")
sys.exit(bool(failed))
