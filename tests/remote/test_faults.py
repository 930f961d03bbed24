"""Texts through `sextant embed` and a service that fails in thirty ways: all arrive, in order, each with its own vector, what is poisoned
is named, nothing is paid for twice, and the key is nowhere.

    test_faults.py SEXTANT [--texts N] [--rate]

--rate also takes the three minutes in which the requests of any minute are counted against a limit.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from faulty_service import DIMENSIONS, FAULTS, Service, vector

KEY = "sk-faulty-secret-0123456789"
IN_FLIGHT, BATCH = 10, 64


def fail(message):
    print("FAILED: " + message)
    sys.exit(1)


def check(condition, message):
    if not condition:
        fail(message)


class Bench:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.outputs = b""
        self.environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": folder, "OPENAI_API_KEY": KEY, "no_proxy": "127.0.0.1",
            "SEXTANT_DB": os.path.join(folder, "cache.db"), "XDG_DATA_HOME": folder,
        }

    def write_texts(self, count, poisoned=(), name="texts"):
        path = os.path.join(self.folder, name + ".jsonl")
        self.texts = ["text number %d%s%s" % (i, " about rivers" * (i % 7), " POISON" if i in poisoned else "")
                      for i in range(count)]
        with open(path, "w") as file:
            for i, text in enumerate(self.texts):
                file.write(json.dumps({"id": "x%d" % i, "text": text}) + "\n")
        return path

    def command(self, service, path, output, *extra):
        return [self.program, "embed", "-m", "openai@%s#some-model" % service.url, "--input-format", "jsonl", "-i", path,
                "--format", "jsonl", "-o", output, *extra]

    def embed(self, service, path, *extra, code=0):
        output = os.path.join(self.folder, "out.jsonl")
        if os.path.exists(output):
            os.unlink(output)
        done = subprocess.run(self.command(service, path, output, *extra), env=self.environment, capture_output=True, timeout=900)
        self.outputs += done.stdout + done.stderr
        check(done.returncode == code, "exit code %d instead of %d: %s" % (done.returncode, code, done.stderr[-400:].decode()))
        with open(output) as file:
            return [json.loads(line) for line in file], done.stderr.decode()

    def check_rows(self, rows, poisoned=()):
        check(len(rows) == len(self.texts), "%d rows for %d texts" % (len(rows), len(self.texts)))
        for i, row in enumerate(rows):
            check(row["id"] == "x%d" % i and row["index"] == i, "row %d is %s" % (i, row["id"]))
            if i in poisoned:
                check("refuse" in row["error"]["message"], "poisoned text %d: %s" % (i, row))
                continue
            check("error" not in row, "text %d failed: %s" % (i, row.get("error")))
            expected = vector(self.texts[i])
            check(len(row["embedding"]) == DIMENSIONS and
                  max(abs(a - b) for a, b in zip(row["embedding"], expected)) < 1e-6, "text %d has another's vector" % i)

    def check_secrecy(self):
        check(KEY.encode() not in self.outputs, "the key is in the program's output")
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    check(KEY.encode() not in file.read(), "the key is in " + name)


def all_arrive(bench, count):
    service = Service(faulty=True)
    poisoned = {7, count // 2, count - 3}
    path = bench.write_texts(count, poisoned)
    started = time.monotonic()
    rows, errors = bench.embed(service, path, code=3)
    seconds = time.monotonic() - started
    bench.check_rows(rows, poisoned)
    for i in poisoned:
        check("x%d" % i in errors, "poisoned text %d is not named on standard error" % i)
    good = [text for i, text in enumerate(bench.texts) if i not in poisoned]
    twice = [text for text in good if service.answered.get(text) != 1]
    check(not twice, "%d texts were not answered exactly once: %s %s" % (len(twice), twice[:1], service.answered.get(twice[0]) if twice else ""))
    receipts = sum(row["tokens"] for row in rows if "error" not in row)
    words = sum(len(text.split()) for text in good)
    check(receipts == words, "receipts say %d tokens, the service counted %d" % (receipts, words))
    check(service.strangers == 0, "requests without the key")
    unmet = [fault for fault in FAULTS if fault not in service.met] if service.steps >= len(service.script) else []
    check(not unmet, "faults that never came: %s" % unmet)
    full = sum(size == BATCH for size in service.sizes)
    check(full >= count // BATCH - 10, "only %d requests with a full batch" % full)
    requests = service.requests
    rows, _ = bench.embed(service, path, code=3)
    bench.check_rows(rows, poisoned)
    check(sum(row.get("cached", False) for row in rows) == len(good), "the second run did not take all from the cache")
    check(all(service.answered[text] == 1 for text in good), "the second run paid again")
    print("%d texts, %d faults met, %d requests, %.1f s; again from the cache: %d requests"
          % (count, sum(n for fault, n in service.met.items() if fault != "ok"), requests, seconds, service.requests - requests))
    service.stop()


def few_texts_at_once(bench):
    service = Service(faulty=False, most_texts=20)
    path = bench.write_texts(1000, name="few")
    rows, _ = bench.embed(service, path, "--no-cache")
    bench.check_rows(rows)
    refused = sum(size > 20 for size in service.sizes)
    check(refused <= 2 * IN_FLIGHT + 10, "%d requests were larger than the service takes" % refused)
    check(max(service.answered.values()) == 1, "texts were paid for twice")
    service.stop()


def killed_and_resumed(bench):
    service = Service(faulty=False, seconds=0.15)
    path = bench.write_texts(3000, name="killed")
    output = os.path.join(bench.folder, "killed.out")
    process = subprocess.Popen(bench.command(service, path, output), env=bench.environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while len(service.answered) < 1200 and process.poll() is None:
        time.sleep(0.01)
    with open("/proc/%d/cmdline" % process.pid, "rb") as file:
        check(KEY.encode() not in file.read(), "the key is in the process list")
    process.send_signal(signal.SIGKILL)
    check(process.wait() == -signal.SIGKILL, "the program ended before it was killed")
    time.sleep(0.3)
    rows, _ = bench.embed(service, path)
    bench.check_rows(rows)
    twice = sum(n - 1 for text, n in service.answered.items() if text.startswith("text"))
    check(twice <= (IN_FLIGHT + 2) * BATCH, "%d texts were paid for twice after a kill" % twice)
    print("killed and resumed: %d of 3000 texts paid for twice (at most %d were in flight)" % (twice, IN_FLIGHT * BATCH))
    service.stop()


def fatal_stops_at_once(bench):
    service = Service(faulty=False)
    bench.write_texts(2000, name="fatal")
    wrong = dict(bench.environment)
    service.serve = lambda handler: (service.arrivals.append((0, 0)), handler.rfile.read(int(handler.headers["Content-Length"])),
                                     service.refuse(handler, 401, "Incorrect API key provided: " + KEY))
    path = os.path.join(bench.folder, "fatal.jsonl")
    started = time.monotonic()
    done = subprocess.run(bench.command(service, path, os.path.join(bench.folder, "fatal.out"), "--json"), env=wrong,
                          capture_output=True, timeout=60)
    bench.outputs += done.stdout + done.stderr
    check(done.returncode == 1, "a wrong key: exit code %d" % done.returncode)
    check(len(service.arrivals) <= IN_FLIGHT and time.monotonic() - started < 5, "a wrong key did not stop at once")
    check(b"OPENAI_API_KEY" in done.stderr, "no hint what to do: %r" % done.stderr)
    service.stop()


def rates_hold(bench, limit=30, batches=100):
    service = Service(faulty=False)
    path = bench.write_texts(batches * BATCH, name="rate")
    started = time.monotonic()
    rows, _ = bench.embed(service, path, "--no-cache", "--requests-per-minute", str(limit))
    seconds = time.monotonic() - started
    bench.check_rows(rows)
    allowed = (service.requests - 1) // limit * 60
    most = service.most_in_a_minute()
    check(most <= limit, "%d requests in a minute; %d are allowed" % (most, limit))
    check(seconds <= allowed * 1.1 + 1, "%.1f s; the limits allow %d s" % (seconds, allowed))
    print("%d requests at %d a minute: %.1f s, the limit allows %d s; at most %d in any minute"
          % (service.requests, limit, seconds, allowed, most))
    service.stop()


def doctor_and_chunk(bench):
    """doctor says what it finds of a service, and of its absence; chunk counts without asking anybody."""
    service = Service(faulty=False)

    def run(*words, code=0, **more):
        environment = {name: value for name, value in dict(bench.environment, **more).items() if value}
        done = subprocess.run([bench.program, *words], env=environment, capture_output=True, timeout=60)
        bench.outputs += done.stdout + done.stderr
        check(done.returncode == code, "%s: exit code %d: %s" % (words, done.returncode, done.stderr[-300:].decode()))
        return json.loads(done.stdout)

    def checks(code, model, **more):
        return {entry["check"]: entry for entry in run("doctor", "-m", model, "--json", code=code, **more)["checks"]}

    model = "openai@%s#some-model" % service.url
    found = checks(0, model)
    check(found["key"]["message"] == "OPENAI_API_KEY is set", "key: %s" % found["key"])
    check("%d dimensions" % DIMENSIONS in found["model"]["message"] and " ms" in found["model"]["message"], "model: %s" % found["model"])
    service.stop()
    found = checks(1, model)
    check(found["model"]["result"] == "fail" and found["model"]["advice"], "a service that is away: %s" % found["model"])
    found = checks(1, "openai:text-embedding-3-small", OPENAI_API_KEY="")
    check("not set" in found["key"]["message"] and found["model"]["result"] == "fail", "no key: %s" % found)
    path = os.path.join(bench.folder, "document.txt")
    with open(path, "w") as file:
        file.write("".join("Sentence number %d is about rivers and bridges.\n\n" % i for i in range(100)))
    cut = run("chunk", path, "-m", "openai:text-embedding-3-small", "--chunk-size", "200", "--json", OPENAI_API_KEY="")
    check(len(cut["chunks"]) > 5 and all(0 < chunk["tokens"] <= 200 for chunk in cut["chunks"]), "chunk: %s" % str(cut)[:300])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rate", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.program, folder)
        all_arrive(bench, arguments.texts)
        few_texts_at_once(bench)
        killed_and_resumed(bench)
        fatal_stops_at_once(bench)
        doctor_and_chunk(bench)
        if arguments.rate:
            rates_hold(bench)
        bench.check_secrecy()


if __name__ == "__main__":
    main()
