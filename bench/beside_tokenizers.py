#!/usr/bin/env python3
"""beside_tokenizers.py [--bench PROGRAM] [--repeat N] [--rounds N] FOLDER...

The texts of tests/fixtures/texts.jsonl, N times over, through Hugging Face tokenizers (`encode_batch` on one thread) and through bench_tokenizer, in
turns; prints MB/s of each (the best round) and the ratio, for each folder with a tokenizer.json. Run it with a Python that has tokenizers."""
import argparse
import json
import os
import re
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer

here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
options = argparse.ArgumentParser()
options.add_argument("--bench", default=os.path.join(here, "build", "bench", "bench_tokenizer"))
options.add_argument("--repeat", type=int, default=20)
options.add_argument("--rounds", type=int, default=3)
options.add_argument("folders", nargs="+")
chosen = options.parse_args()

path = os.path.join(here, "tests", "fixtures", "texts.jsonl")
texts = [json.loads(line)["text"] for line in open(path, encoding="utf-8")] * chosen.repeat
megabytes = sum(len(text.encode()) for text in texts) / 1e6
for folder in chosen.folders:
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    theirs = ours = 0.0
    for _ in range(chosen.rounds):
        start = time.perf_counter()
        tokenizer.encode_batch(texts)
        theirs = max(theirs, megabytes / (time.perf_counter() - start))
        out = subprocess.run([chosen.bench, folder, path, str(chosen.repeat), "1"], capture_output=True, text=True, check=True).stdout
        ours = max(ours, float(re.match(r"[0-9.]+", out).group()))
    print("%-24s tokenizers %6.2f MB/s   Sextant %7.2f MB/s   ratio %.1f" % (os.path.basename(folder.rstrip("/")), theirs, ours, ours / theirs))
