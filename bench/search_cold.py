#!/usr/bin/env python3
"""search_cold.py --sextant PATH [--documents N] [--rounds N] [--keep FOLDER]: how long `sextant search` takes as a process of its own.

Imports a collection of N documents of one chunk each (384 dimensions, clustered, made up; a fake model embeds the query, so its
time does not count) into a temporary folder and prints the median of the whole process's wall time, with and without filters."""
import argparse
import hashlib
import json
import math
import os
import random
import statistics
import subprocess
import tempfile
import time

DIMENSIONS, CLUSTERS, NOISES = 384, 200, 500
MODEL = "fake:a?dimensions=%d" % DIMENSIONS


def direction(generator):
    vector = [generator.gauss(0, 1) for _ in range(DIMENSIONS)]
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def write_collection(path, template, count):
    generator = random.Random(1)
    centres = [direction(generator) for _ in range(CLUSTERS)]
    noises = [direction(generator) for _ in range(NOISES)]
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            centre, noise, other = generator.choice(centres), generator.choice(noises), generator.choice(noises)
            vector = [0.8 * a + 0.45 * b + 0.4 * c for a, b, c in zip(centre, noise, other)]
            length = math.sqrt(sum(x * x for x in vector))
            text = "document %d says something. " % i + "It has some words more. " * 20
            line = {key: template[key] for key in template if i == 0 or key != "collection"}
            line.update(document="folder%d/doc%d.txt" % (i % 100, i), text=text, end=len(text), index=0, start=0,
                        hash=hashlib.sha256(text.encode()).hexdigest(),
                        metadata={"language": ["en", "de", "fr"][i % 3], "year": 1990 + i % 30, "one": i == 77777 % count,
                                  "tags": ["red", "blue"][:1 + i % 2], "media_type": "text/plain"})
            del line["embedding"]
            row = json.dumps(line)
            out.write(row[:-1] + ',"embedding":[' + ",".join(["%.7g" % (x / length) for x in vector]) + "]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sextant", required=True)
    parser.add_argument("--documents", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--keep", help="folder to use, and to keep the database in")
    options = parser.parse_args()
    sextant = os.path.abspath(options.sextant)
    folder = options.keep or tempfile.mkdtemp(prefix="sextant-search-")
    os.makedirs(folder, exist_ok=True)
    db = os.path.join(folder, "search.db")

    def run(*arguments):
        return subprocess.run([sextant, *arguments, "--db", db], check=True, capture_output=True, text=True).stdout

    if not os.path.exists(db):
        os.makedirs(os.path.join(folder, "one"))
        with open(os.path.join(folder, "one", "a.txt"), "w", encoding="utf-8") as out:
            out.write("hello\n")
        run("index", os.path.join(folder, "one"), "-m", MODEL, "-c", "small")
        small, big = os.path.join(folder, "small.jsonl"), os.path.join(folder, "big.jsonl")
        run("collections", "export", "small", "--format", "jsonl", "-o", small)
        with open(small, encoding="utf-8") as lines:
            template = json.loads(lines.readline())
        write_collection(big, template, options.documents)
        start = time.monotonic()
        run("collections", "import", "big", big)
        print("import: %.1f s" % (time.monotonic() - start))
        os.remove(big)
    cases = [("no filter", []), ("a third passes", ["language=de"]), ("one of 30", ["year=2001"]), ("a list", ["tags=blue"]),
             ("one document", ["one=true"]), ("none", ["language=none"]), ("path", ["document=folder1/doc1.txt"])]
    for name, filters in cases:
        arguments = [x for text in filters for x in ("--filter", text)]
        times, hits = [], 0
        for _ in range(options.rounds):
            start = time.monotonic()
            answer = run("search", "a question", "-c", "big", "-m", MODEL, "--json", *arguments)
            times.append(time.monotonic() - start)
            hits = len(json.loads(answer)["hits"])
        print("%-16s %6.1f ms  (least %.1f)  %d hits" % (name, 1e3 * statistics.median(times), 1e3 * min(times), hits))


if __name__ == "__main__":
    main()
