#!/usr/bin/env python3
"""run_documents.py SEXTANT DOCUMENT...: runs every command line of the documents' ```console blocks, in order, in a scratch home.

A line that begins with `$ ` is a command; it must exit 0 (or N when the line ends in `# exits N`). Lines below it up to the next
command, when there are any, must occur in its output in this order; `...` in a line stands for anything. `docs` in the scratch folder is
a copy of the project's docs/. Settings called VECTOR_STORE_... are handed on (tests/vectordb/test_documents.py)."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

program, documents = sys.argv[1], sys.argv[2:]
model = os.environ.get("SX_TEST_MODEL")
if not model:
    sys.exit("SX_TEST_MODEL is not set: run `make model`, then `make test`")
scratch = tempfile.mkdtemp(prefix="sextant-documents-")
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
shutil.copytree(os.path.join(root, "docs"), os.path.join(scratch, "docs"))
binaries = os.path.join(scratch, "bin")
os.mkdir(binaries)
os.symlink(os.path.abspath(program), os.path.join(binaries, "sextant"))
environment = {"PATH": binaries + ":" + os.environ["PATH"], "HOME": scratch, "LANG": "C.UTF-8",
               "SEXTANT_MODELS": os.path.dirname(model.rstrip("/")),
               **{name: value for name, value in os.environ.items() if name.startswith("VECTOR_STORE_")}}
ran = 0
try:
    for document in documents:
        text = open(document, encoding="utf-8").read()
        for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
            steps = re.split(r"^\$ ", block, flags=re.M)[1:]
            assert steps, f"{document}: a console block without a command"
            for step in steps:
                command, *expected = step.rstrip("\n").split("\n")
                code = re.search(r"# exits (\d+)$", command)
                run = subprocess.run(["bash", "-c", command], cwd=scratch, env=environment, capture_output=True, text=True, timeout=200)
                said = run.stdout + run.stderr
                assert run.returncode == int(code.group(1) if code else 0), f"{document}: {command}: exit {run.returncode}\n{said}"
                at = 0
                for line in filter(None, map(str.strip, expected)):
                    pattern = ".*".join(re.escape(part) for part in line.split("..."))
                    found = re.compile(pattern).search(said, at)
                    assert found, f"{document}: {command}: {line!r} is not in the output\n{said}"
                    at = found.end()
                ran += 1
finally:
    shutil.rmtree(scratch, True)
assert ran, "no command was found"
print(f"{ran} commands of {len(documents)} documents did what the documents say")
