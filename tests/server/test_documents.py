#!/usr/bin/env python3
"""test_documents.py SEXTANT [TEST...]: the commands of docs/serving.md, as they stand there: each server starts, each curl is answered well, and the list of
routes names those there are."""
import os
import re
import shlex
import subprocess

from serving import Server, environment, program, run_tests

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
with open(os.path.join(root, "docs", "serving.md"), encoding="utf-8") as f:
    DOCUMENT = f.read()
LINES = [line for block in re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.M | re.S) for line in re.split(r"\n(?=\S)", block.strip())]


def shell(command, folder):
    """With Sextant in the path, as for a reader."""
    binaries = os.path.join(folder, "bin")
    os.makedirs(binaries, exist_ok=True)
    if not os.path.exists(binaries + "/sextant"):
        os.symlink(program, binaries + "/sextant")
    settings = environment(folder)
    settings["PATH"] = binaries + ":" + settings["PATH"]
    return subprocess.run(["bash", "-c", command], cwd=folder, env=settings, capture_output=True, text=True, timeout=60)


def test_curl():
    with Server("--source", "handbook=" + os.path.join(root, "docs"), "--db", "x.db") as s:
        commands = [line for line in LINES if line.startswith("curl ")]
        assert len(commands) > 5, commands
        for line in commands:
            assert "http://127.0.0.1:7460" in line, line
            run = shell(line.replace("curl ", "curl -sSf ").replace(":7460", f":{s.port}"), s.home)
            assert run.returncode == 0 and run.stdout.startswith(("{", "[")), (line, run.stdout, run.stderr)


def test_serve():
    for line in [line for line in LINES if line.startswith("sextant serve")]:
        options = shlex.split(line, comments=True)[2:]
        if "--api-key-file" in options:
            continue  # below
        options = ["handbook=" + os.path.join(root, "docs") if o == "handbook=docs" else o for o in options]
        with Server(*[o for o in options if o not in ("-m", "minilm")]) as s:
            assert s.ask("/health")[0] == 200, line


def test_keys():
    """The lines that make a key, as they stand there; the server takes it and no other."""
    making = [line for line in LINES if line.startswith(("key=", "echo "))]
    with Server() as s:
        made = shell("\n".join(making) + '\nprintf %s "$key"', s.home)
        assert made.returncode == 0 and len(made.stdout) == 48, made
        with Server("--api-key-file", os.path.join(s.home, "keys")) as guarded:
            assert guarded.ask("/v1/models", headers={"Authorization": "Bearer " + made.stdout})[0] == 200
            assert guarded.ask("/v1/models")[0] == 401


def test_routes():
    named = set(re.findall(r"`(?:POST |GET |DELETE )?(/[a-zA-Z0-9_/.]*)`", DOCUMENT))
    with Server() as s:
        there = set(s.ask("/openapi.json")[1]["paths"])
    missing = {path for path in there if "{" not in path} - named - {"/models", "/v1/collections", "/v1/jobs", "/v1/rerank", "/v2/rerank", "/v2/embed"}
    assert not missing, missing


run_tests(globals())
