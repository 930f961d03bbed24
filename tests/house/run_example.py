#!/usr/bin/env python3
"""run_example.py PROGRAM: the example program finds the right sentence with the real model, and says what is wrong without one."""
import os
import subprocess
import sys

model = os.environ.get("SX_TEST_MODEL")
if not model:
    sys.exit("SX_TEST_MODEL is not set: run `make model`, then `make test`")
sentences = ["The harbour was quiet when the boats came in.", "Bread dough needs time to rise.", "The compiler refused the file."]
run = subprocess.run([sys.argv[1], model, "how do I bake a loaf", *sentences], capture_output=True, text=True)
assert run.returncode == 0, run.stderr
assert run.stdout.rstrip().endswith(sentences[1]), run.stdout
run = subprocess.run([sys.argv[1], "/nowhere/at/all", "q", "s"], capture_output=True, text=True)
assert run.returncode == 1 and "/nowhere/at/all" in run.stderr, run
print("the example finds the right sentence")
