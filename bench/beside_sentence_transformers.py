#!/usr/bin/env python3
"""beside_sentence_transformers.py --model FOLDER [--sextant PROGRAM] [--rounds N] [--threads N]

The same texts through sentence-transformers (`encode` in a running process, its defaults) and through `sextant embed` (the whole process, start and files
included), in turns, so that drifts of the machine hit both; prints the median of each, the ratio, and how far the vectors are apart.
Run it with a Python that has sentence-transformers."""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import numpy
import torch
from sentence_transformers import SentenceTransformer

here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
options = argparse.ArgumentParser()
options.add_argument("--model", required=True)
options.add_argument("--sextant", default=os.path.join(here, "build", "sextant"))
options.add_argument("--rounds", type=int, default=5)
options.add_argument("--threads", type=int, default=os.cpu_count())
options.add_argument("--repeat", type=int, default=2)
chosen = options.parse_args()

torch.set_num_threads(chosen.threads)
texts = [json.loads(line)["text"] for line in open(os.path.join(here, "tests", "fixtures", "texts.jsonl"), encoding="utf-8")]
# Repeats differ by a word, so that no cache of either side could help.
texts = [f"{text} {number}" for number in range(chosen.repeat) for text in texts]
query = ["how do I reset my password on the second screen"]
model = SentenceTransformer(chosen.model, device="cpu")
scratch = tempfile.mkdtemp()


def sextant(items, target="out.npy"):
    source, out = os.path.join(scratch, "in.jsonl"), os.path.join(scratch, target)
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": item}) + "\n" for item in items)
    start = time.perf_counter()
    subprocess.run([chosen.sextant, "embed", "-m", chosen.model, "--input-format", "jsonl", "-i", source, "--format", "npy", "-o", out,
                    "--no-cache", "--threads", str(chosen.threads), "-q"], check=True)
    return time.perf_counter() - start, numpy.load(out)


def reference(items):
    start = time.perf_counter()
    vectors = model.encode(items, show_progress_bar=False)
    return time.perf_counter() - start, vectors


for name, items in (("mixed texts", texts), ("one query", query)):
    ours, theirs = [], []
    for _ in range(chosen.rounds):
        seconds, a = sextant(items)
        ours.append(seconds)
        seconds, b = reference(items)
        theirs.append(seconds)
    first, second = statistics.median(ours), statistics.median(theirs)
    print(f"{name} ({len(items)}), {chosen.threads} threads: sentence-transformers {second * 1000:.0f} ms in a running process, "
          f"sextant {first * 1000:.0f} ms as a process, {second / first:.2f} x; largest difference {numpy.abs(a - b).max():.1e}")
