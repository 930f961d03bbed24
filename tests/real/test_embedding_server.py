"""Sextant against an embedding server and a proxy that others wrote: Infinity (torch) with the 16-bit weights of all-MiniLM-L6-v2, and LiteLLM
before it. Sextant's own encoder with the same weights says what the vectors have to be.

    test_embedding_server.py SEXTANT [--texts N] [--only PART]

Prints the figures that SPEED.md has.
"""
import argparse
import contextlib
import copy
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import numpy

from real_servers import Infinity, LiteLLM, packages

MODEL, NAME = "minilm-fp16", "minilm"
LEAST_COSINE, LARGEST_DIFFERENCE = 0.9999, 2e-3
WORDS = ("harbour evening tide vector garden measure window river engine letter winter market paper stone bridge island corner silver thunder "
         "memory orchard compass sailor horizon lantern copper signal number yellow carbon über naïve façade señor Straße данные море "
         "日本 港口 ファイル 🚢 €12.50 don't state-of-the-art 3.14159 http://example.org/a?b=c x_1 == != }; def return").split()


def check(condition, message):
    if not condition:
        print("FAILED: " + message)
        sys.exit(1)


def make_texts(count, seed):
    """All different, from one word to about 200 tokens, which the server takes whole."""
    chance = random.Random(seed)
    return ["%s %d%s" % (" ".join(chance.choice(WORDS) for _ in range(chance.choice((1, 3, 8, 20, 40, 60)))), i, chance.choice((".", "?", "")))
            for i in range(count)]


class Bench:
    def __init__(self, program, folder):
        self.program, self.folder, self.outputs = os.path.abspath(program), folder, b""
        self.environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "XDG_DATA_HOME", "LANG")}
        self.environment.update(SEXTANT_DB=folder + "/sextant.db", no_proxy="127.0.0.1")
        self.keys = []

    def start(self, *words, **more):
        return subprocess.Popen([self.program, *words], env=dict(self.environment, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, process, code=0):
        out, err = process.communicate(timeout=600)
        self.outputs += out + err
        check(process.returncode == code, "%s: exit code %s: %s" % (process.args[1:4], process.returncode, err[-600:].decode()))
        return out.decode(), err.decode()

    def run(self, *words, code=0, **more):
        return self.finish(self.start(*words, **more), code)

    def json(self, *words, **more):
        return json.loads(self.run(*words, "--json", **more)[0])

    def write_texts(self, texts, name):
        path = "%s/%s.jsonl" % (self.folder, name)
        with open(path, "w") as file:
            file.writelines(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts))
        return path

    def embed(self, model, path, *extra, **more):
        """Vectors, receipts and seconds of a run without the cache."""
        output = self.folder + "/out.jsonl"
        started = time.monotonic()
        self.run("embed", "-m", model, "-i", path, "-o", output, "--no-cache", *extra, **more)
        return *self.read(output), time.monotonic() - started

    def read(self, output):
        with open(output) as file:
            rows = [json.loads(line) for line in file]
        check(all(row["index"] == i and "error" not in row for i, row in enumerate(rows)), "texts failed or lost their order")
        return numpy.array([row["embedding"] for row in rows]), rows

    def check_secrecy(self):
        for key in (key.encode() for key in self.keys):
            check(key not in self.outputs, "the key is in the program's output")
            for folder, _, names in os.walk(self.folder):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        check(key not in file.read(), "the key is in " + name)


def agree(ours, theirs, what):
    check(ours.shape == theirs.shape, "%s: %s vectors for %s" % (what, theirs.shape, ours.shape))
    cosines = (ours * theirs).sum(1) / numpy.linalg.norm(ours, axis=1) / numpy.linalg.norm(theirs, axis=1)
    difference = numpy.abs(ours - theirs).max()
    check(cosines.min() >= LEAST_COSINE and difference <= LARGEST_DIFFERENCE,
          "%s: least cosine %.6f, greatest difference %.2g" % (what, cosines.min(), difference))
    return cosines.min(), difference


def vectors_and_tokens(bench, server, ours, rows, path):
    theirs, receipts, seconds = bench.embed(server.model_of(), path)
    least, difference = agree(ours, theirs, "Infinity")
    own, said = sum(row["tokens"] for row in rows), sum(row["tokens"] for row in receipts)
    print("vectors: %d texts, %d tokens by our count; least cosine %.7f, greatest difference %.2g; the server counts %d" %
          (len(rows), own, least, difference, said))
    check(said > 0, "no tokens were counted")
    return seconds


def concurrency(bench, server, ours, path):
    for most in (1, 4, 10):
        theirs, _, seconds = bench.embed(server.model_of(), path, "--max-concurrent", str(most))
        agree(ours, theirs, "%d at once" % most)
        print("%2d requests at once: %.0f texts/s" % (most, len(ours) / seconds))


def wait_for_vectors(process, database, count):
    """Until the run has stored so many, by the database it writes; it must not be over before."""
    stored = 0
    while stored < count and process.poll() is None:
        time.sleep(0.02)
        try:
            with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % database, uri=True)) as connection:
                stored = connection.execute("SELECT count(*) FROM vector").fetchone()[0]
        except sqlite3.Error:  # not made yet
            pass
    check(process.poll() is None, "the run was over when %d vectors were stored" % stored)


def killed_and_restarted(bench, server, ours, path):
    """The server dies twice in the middle of a run and comes back; the cache then has everything once."""
    output, database = bench.folder + "/killed.jsonl", bench.folder + "/killed.db"
    words = ("embed", "-m", server.model_of(), "-i", path, "-o", output, "--batch-size", "8", "--max-concurrent", "4", "--db", database)
    before = time.monotonic()
    process = bench.start(*words)
    for part in (0.2, 0.5):
        wait_for_vectors(process, database, int(len(ours) * part))
        server.restart()
    bench.finish(process)
    seconds = time.monotonic() - before
    theirs, rows = bench.read(output)
    agree(ours, theirs, "with the server killed twice")
    asked = server.embeddings_asked()
    bench.run(*words)
    again, rows_again = bench.read(output)
    check(server.embeddings_asked() <= asked + 1, "the second run asked for vectors again")  # a probe for the dimension
    check((again == theirs).all() and all(row["cached"] for row in rows_again), "the cache gave other vectors")
    print("killed and restarted twice: all %d texts, %d of them in more than one attempt, %.1f s; a second run asked for none" %
          (len(rows), sum(row.get("retries", 0) > 0 for row in rows), seconds))


def hits_of(found):
    return [(hit["document"], hit["start"], round(hit["score"], 4)) for hit in found["hits"]]


QUESTIONS = ["how is a collection moved to another model", "what happens when a service answers 429", "which files are left out",
             "how do I search two collections at once", "is the key written anywhere", "compress the vectors of a collection"]


def index_and_search(bench, server, documents):
    """The same chunks, counted by the same tokenizer, are found with the same scores as with our own encoder."""
    own = bench.json("index", documents, "-c", "own", "-m", MODEL)
    by_bytes = bench.json("index", documents, "-c", "bytes", "-m", server.model_of(), "--dry-run")
    remote = bench.json("index", documents, "-c", "remote", "-m", server.model_of(), "--tokenizer", MODEL)
    check(own["documents"]["added"] == remote["documents"]["added"] and not remote["failed"], "index: %s" % remote)
    check(remote["chunks"]["total"] == own["chunks"]["total"], "the same tokenizer gives other chunks: %s %s" % (own["chunks"], remote["chunks"]))
    for question in QUESTIONS:
        ours, theirs = (bench.json("search", question, "-c", name, "--mode", "semantic", "-n", "5") for name in ("own", "remote"))
        check([hit[:2] for hit in hits_of(ours)] == [hit[:2] for hit in hits_of(theirs)], "other hits: %s %s" % (hits_of(ours), hits_of(theirs)))
    print("index: %d documents in %d chunks, counted with our tokenizer (%d, counted in bytes); the same hits for %d questions" %
          (own["documents"]["added"], own["chunks"]["total"], by_bytes["chunks"]["total"], len(QUESTIONS)))


class Searches(threading.Thread):
    """Asks the collection all the time; what each answer was."""

    def __init__(self, bench, name):
        super().__init__(daemon=True)
        self.bench, self.name_of_collection, self.over, self.answers, self.problem = bench, name, False, [], None

    def run(self):
        while not self.over:
            try:
                found = self.bench.json("search", QUESTIONS[len(self.answers) % len(QUESTIONS)], "-c", self.name_of_collection,
                                        "--mode", "semantic", "-n", "5")
            except (SystemExit, ValueError) as problem:
                self.problem = problem
                return
            self.answers.append((found["query"], hits_of(found)))


def migrate_under_searches(bench, server, documents):
    """From our own encoder to the server, which dies in the middle, with searches all the while; and back."""
    database = bench.folder + "/moved.db"  # where nothing of the server's is cached
    bench = copy.copy(bench)
    bench.environment = dict(bench.environment, SEXTANT_DB=database)
    bench.run("index", *(documents + "/" + name for name in ("caches.md", "asking.md", "compression.md", "watching.md", "searching.md")),
              "-c", "own", "-m", MODEL)
    def ask(name):
        return {question: hits_of(bench.json("search", question, "-c", name, "--mode", "semantic", "-n", "5")) for question in QUESTIONS}

    def exactly():
        return [bench.json("search", question, "-c", "own", "--mode", "semantic", "-n", "5")["hits"] for question in QUESTIONS]

    before, exact = ask("own"), exactly()
    searches = Searches(bench, "own")
    searches.start()
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % database, uri=True)) as connection:
        stored = connection.execute("SELECT count(*) FROM vector").fetchone()[0]
    moving = bench.start("migrate", "-c", "own", "--to", server.model_of(), "--batch-size", "4", "--max-concurrent", "2", "--json")
    wait_for_vectors(moving, database, stored + 8)
    server.restart()
    report = json.loads(bench.finish(moving)[0])
    during = len(searches.answers)
    after = ask("own")
    searches.over = True
    searches.join()
    check(searches.problem is None, "a search failed while the collection moved")
    for question, hits in searches.answers:
        check(hits in (before[question], after[question]), "a search saw neither side: %s %s" % (question, hits))
    check(report["cut_over"] and not report["failed"] and report["comparison"]["overlap"] > 0.99, "migrate: %s" % report)
    bench.run("migrate", "-c", "own", "--rollback")
    check(exactly() == exact, "a roll-back gives other results")
    print("migrate: %d chunks in %.1f s with the server restarted in the middle, overlap %.4f, rank correlation %.4f; %d searches meanwhile, each saw "
          "one side; the same bits after the roll-back" % (report["chunks"]["total"], report["seconds"], report["comparison"]["overlap"],
                                                           report["comparison"]["rank_correlation"], during))


def through_the_proxy(bench, server, proxy, ours, path):
    key = {"OPENAI_API_KEY": proxy.key}
    theirs, receipts, seconds = bench.embed(proxy.model_of(), path, **key)
    least, _ = agree(ours, theirs, "through LiteLLM")
    print("through LiteLLM: %.0f texts/s, least cosine %.7f, %d tokens" % (len(ours) / seconds, least, sum(row["tokens"] for row in receipts)))
    wrong = "sk-wrong-0123456789abcdef"  # which a proxy without a database answers with 400
    out, err = bench.run("embed", "-m", proxy.model_of(), "--no-cache", "a text", code=1, OPENAI_API_KEY=wrong)
    check(err.startswith("sextant: openai: ") and wrong not in out + err, "a wrong key: %s" % err)
    _, err = bench.run("embed", "-m", proxy.model_of().replace("#" + NAME, "#no-such-model"), "--no-cache", "a text", code=1, **key)
    print("a model that the proxy does not have: %s" % err.strip().split("\n")[0][:160])
    output = bench.folder + "/proxy.jsonl"
    database = bench.folder + "/proxy.db"
    process = bench.start("embed", "-m", proxy.model_of(), "-i", path, "-o", output, "--batch-size", "8", "--max-concurrent", "4",
                          "--db", database, **key)
    wait_for_vectors(process, database, len(ours) // 4)
    server.restart()
    bench.finish(process)
    theirs, rows = bench.read(output)
    agree(ours, theirs, "through LiteLLM, with the server killed behind it")
    print("the server killed behind the proxy: all %d texts" % len(rows))


def fallback(bench, server, proxy, ours, path):
    """Two ways to one model, proven to be of one space; the proxy dies for good."""
    key = {"OPENAI_API_KEY": proxy.key}
    database = bench.folder + "/fallback.db"
    bench.run("spaces", "prove", MODEL, server.model_of(), "--db", database)
    bench.run("spaces", "prove", proxy.model_of(), server.model_of(), "--db", database, **key)
    output = bench.folder + "/fallback.jsonl"
    process = bench.start("embed", "-m", proxy.model_of(), "--fallback", server.model_of(), "-i", path, "-o", output, "--batch-size", "8",
                          "--max-concurrent", "4", "--db", database, **key)
    wait_for_vectors(process, database, len(ours) // 4)
    proxy.kill()
    bench.finish(process)
    theirs, rows = bench.read(output)
    agree(ours, theirs, "with the proxy killed and a fallback")
    print("the proxy killed, the server as its fallback: all %d texts" % len(rows))


def run(bench, count, only):
    model = bench.json("models", "info", MODEL)["folder"]
    path = bench.write_texts(make_texts(count, 4), "texts")
    ours, rows, seconds = bench.embed(MODEL, path)
    print("our own encoder: %.0f texts/s" % (count / seconds))
    documents = bench.folder + "/documents"
    shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs"), documents,
                    ignore=shutil.ignore_patterns("*.png", "man"))
    with contextlib.ExitStack() as ends:
        server = ends.enter_context(contextlib.closing(Infinity(model, NAME)))
        proxy = ends.enter_context(contextlib.closing(LiteLLM("http://127.0.0.1:%d/v1" % server.port, NAME)))
        bench.keys.append(proxy.key)
        parts = {
            "vectors": lambda: vectors_and_tokens(bench, server, ours, rows, path),
            "concurrency": lambda: concurrency(bench, server, ours, path),
            "killed": lambda: killed_and_restarted(bench, server, ours, path),
            "index": lambda: index_and_search(bench, server, documents),
            "migrate": lambda: migrate_under_searches(bench, server, documents),
            "proxy": lambda: through_the_proxy(bench, server, proxy, ours, path),
            "fallback": lambda: fallback(bench, server, proxy, ours, path),
        }
        for name, part in parts.items():
            if not only or name in only:
                part()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--only", action="append", help="vectors, concurrency, killed, index, migrate, proxy or fallback; all if not said")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the servers are ended
    for group in ("infinity", "litellm"):
        packages(group)
    with tempfile.TemporaryDirectory(prefix="sextant-real-") as folder:
        bench = Bench(arguments.program, folder)
        run(bench, arguments.texts, arguments.only)
        bench.check_secrecy()


if __name__ == "__main__":
    main()
