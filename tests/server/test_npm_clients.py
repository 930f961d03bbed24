#!/usr/bin/env python3
"""test_npm_clients.py SEXTANT [TEST...]: npm's openai client, unchanged, gets the vectors that `sextant embed` gives. Its package is installed where it is not
there (scripts/install-npm-packages)."""
import json
import os
import subprocess
import sys

from serving import Server, embed_cli, run_tests

here = os.path.dirname(os.path.abspath(__file__))
NEWEST_TOO_OLD = 19
TEXTS = ["The boats came in with the tide.", "Bread rises because yeast gives off gas.", "naïve café, 東京"]


def close(got, want):
    assert len(got) == len(want) and all(len(g) == len(w) for g, w in zip(got, want))
    worst = max(abs(float(a) - float(b)) for g, w in zip(got, want) for a, b in zip(g, w))
    assert worst < 1e-6, worst


def test_openai():
    installer = os.path.join(here, "..", "..", "scripts", "install-npm-packages")
    packages = subprocess.run([installer], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    want = embed_cli(TEXTS)
    with Server() as s:
        run = subprocess.run(["node", os.path.join(here, "openai_client.mjs"), packages, f"http://127.0.0.1:{s.port}/v1"], input=json.dumps(TEXTS),
                             capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        answer = json.loads(run.stdout)
        close(answer["usual"], want)
        close(answer["floats"], want)
        assert answer["models"] == ["minilm"] and answer["problem"] == ["NotFoundError", "model_not_found"], answer


version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
if int(version[1:].split(".")[0]) <= NEWEST_TOO_OLD:
    print(f"SKIP: npm's openai client wants Node.js 20 or newer, this is {version}")
    sys.exit(77)
run_tests(globals())
