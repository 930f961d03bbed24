#!/usr/bin/env python3
"""cold_start.py [--sextant PROGRAM] [--runs N] [--limit MS] MODEL...

How long it takes from the start of a process to its first vector, with the files in the page cache: `sextant embed hello
--no-cache`, for each model in each way to hold and multiply its weights. Prints the median and the least wall time, and the
processor time of all threads together, which a busy machine lengthens little. Exits
with 1 when a median is above the limit (default: 50 ms)."""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

WAYS = (("f32", ()), ("int8", ("--precision", "int8")), ("f16", ("--storage", "f16")))


def processor_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sextant", default=os.environ.get("SEXTANT", os.path.join(here, "build", "sextant")))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--limit", type=float, default=50.0)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    asked = parser.parse_args()
    late = False
    print("%-40s %-5s %10s %10s %14s" % ("model", "way", "median ms", "least ms", "processor ms"))
    for model in asked.models:
        for name, arguments in WAYS:
            command = [asked.sextant, "embed", "hello", "--no-cache", "-m", model, *arguments]
            wall, processor = [], []
            for _ in range(asked.runs + 1):
                began, used = time.perf_counter(), processor_time()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                wall.append(1e3 * (time.perf_counter() - began))
                processor.append(1e3 * (processor_time() - used))
            # the first run brings the files into the page cache
            median = statistics.median(wall[1:])
            late |= median > asked.limit
            figures = (median, min(wall[1:]), statistics.median(processor[1:]))
            print("%-40s %-5s %10.1f %10.1f %14.1f" % (model[-40:], name, *figures))
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    main()
