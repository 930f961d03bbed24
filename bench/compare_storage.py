#!/usr/bin/env python3
"""compare_storage.py [--sextant PROGRAM] [--rounds N] [--texts N] [--threads N] MODEL

A model's speed with weights as floats, as halves and in 8-bit integers, in turns through `sextant bench --stdio`: a query of 16
tokens, and texts of 128 tokens. Prints medians, the least, and ratios to floats. One thread is measured in processor time of the
serving process, which other work on the machine disturbs less than wall time; several in wall time."""
import argparse
import json
import os
import random
import statistics
import subprocess
import time

WAYS = {"f32": ("--storage", "f32"), "f16": ("--storage", "f16"), "int8": ("--precision", "int8")}


class Server:
    def __init__(self, program, model, threads, arguments):
        command = [program, "bench", "--stdio", "-m", model, "--threads", str(threads), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.alone = threads == 1

    def used(self):
        """Processor time of the server so far: the clock of another process (clock_getcpuclockid)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def measure(self, mode, ids):
        began = self.used()
        self.process.stdin.write(json.dumps({"op": "embed", "mode": mode, "ids": ids}) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        if not reply["ok"]:
            raise SystemExit(reply["error"])
        return 1e3 * (self.used() - began) if self.alone else reply["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sextant", default=os.environ.get("SEXTANT", os.path.join(here, "build", "sextant")))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("model")
    asked = parser.parse_args()
    numbers = random.Random(1)

    def text(tokens):
        return [101] + [numbers.randrange(1000, 30000) for _ in range(tokens - 2)] + [102]

    works = {"query of 16 tokens": ("one", [text(16)], 20),
             "%d texts of 128" % asked.texts: ("own", [text(128) for _ in range(asked.texts)], 1)}
    servers = {way: Server(asked.sextant, asked.model, asked.threads, arguments) for way, arguments in WAYS.items()}
    for name, (mode, ids, times) in works.items():
        found = {way: [] for way in servers}
        for _ in range(asked.rounds):
            for way, server in servers.items():
                found[way] += [server.measure(mode, ids) for _ in range(times)]
        base = statistics.median(found["f32"])
        print(name + ": " + "; ".join("%s %.2f ms (least %.2f), %.2f times as fast" % (
            way, statistics.median(ms), min(ms), base / statistics.median(ms)) for way, ms in found.items()))
    for server in servers.values():
        server.close()


if __name__ == "__main__":
    main()
