"""Two services that give the same vectors, one of which is away: when the command begins, in the middle, when a search is made.

    test_fallback.py SEXTANT
"""
import json
import os
import subprocess
import sys
import tempfile
import threading

from faulty_service import Service
from test_faults import Bench, check


def model_of(service):
    return "openai@%s#some-model" % service.url


def verb(bench, *arguments, code=0):
    done = subprocess.run([bench.program, *arguments], env=bench.environment, capture_output=True, timeout=120)
    bench.outputs += done.stdout + done.stderr
    check(done.returncode == code, "%s: exit code %d instead of %d: %s" %
          (arguments[:2], done.returncode, code, done.stderr[-600:].decode()))
    return done.stdout, done.stderr.decode()


class Pair:
    """Two proven services; a second database where nothing is proven."""

    def __init__(self, program, **options):
        self.bench = Bench(program, tempfile.mkdtemp(prefix="sextant-fallback-"))
        self.first, self.second = Service(faulty=False, **options), Service(faulty=False, **options)
        verb(self.bench, "spaces", "prove", model_of(self.first), model_of(self.second))
        for service in (self.first, self.second):
            service.answered.clear()
            service.requests = 0

    def embed(self, path, *extra, code=0):
        return self.bench.embed(self.first, path, "--fallback", model_of(self.second), *extra, code=code)

    def close(self):
        self.bench.check_secrecy()
        for service in (self.first, self.second):
            if not getattr(service, "gone", False):
                service.stop()


def stop(service):
    service.stop()
    service.gone = True


def stop_after(service, requests):
    """The process is gone: those connected are cut off, others find nobody."""
    serve = service.serve

    def dying(handler):
        if service.requests >= requests:
            handler.close_connection = True
            if not getattr(service, "gone", False):
                service.gone = True
                threading.Thread(target=service.stop, daemon=True).start()
            return
        serve(handler)

    service.serve = dying


def primary_dies(program):
    pair = Pair(program, seconds=0.02)
    path = pair.bench.write_texts(2500)
    stop_after(pair.first, 12)
    rows, errors = pair.embed(path)
    pair.bench.check_rows(rows)
    check(pair.first.gone, "the first service was not stopped")
    check(len(pair.first.answered) > 64 and len(pair.second.answered) > 64, "the work was not shared: %d, %d" %
          (len(pair.first.answered), len(pair.second.answered)))
    twice = [text for text in pair.bench.texts if pair.first.answered.get(text, 0) + pair.second.answered.get(text, 0) != 1]
    check(not twice, "%d texts were not answered exactly once" % len(twice))
    pair.close()
    print("a primary that dies: 2500 texts, %d from it, %d from the fallback" % (len(pair.first.answered), len(pair.second.answered)))


def primary_is_away(program):
    pair = Pair(program)
    path = pair.bench.write_texts(700)
    stop(pair.first)
    rows, errors = pair.embed(path)
    pair.bench.check_rows(rows)
    check("taken as it was proven" in errors, "no word of it: %s" % errors)
    check(len(pair.second.answered) >= 700, "the fallback answered %d texts" % len(pair.second.answered))
    verb(pair.bench, "embed", "-m", model_of(pair.first), "one text", code=1)
    unproven = dict(pair.bench.environment, SEXTANT_DB=os.path.join(pair.bench.folder, "other.db"))
    pair.bench.environment = unproven
    _, errors = verb(pair.bench, "embed", "-m", model_of(pair.first), "--fallback", model_of(pair.second), "one text", code=1)
    check("proven" not in errors, "without a proof: %s" % errors)
    pair.close()
    print("a primary that is away: 700 texts from the fallback")


def fallback_is_away(program):
    pair = Pair(program)
    path = pair.bench.write_texts(700)
    stop(pair.second)
    rows, errors = pair.embed(path)
    pair.bench.check_rows(rows)
    check("taken as it was proven" in errors, "no word of it: %s" % errors)
    rows, errors = pair.embed(pair.bench.write_texts(900, name="half"), "--split", "50")
    pair.bench.check_rows(rows)
    pair.close()
    print("a fallback that is away: 700 texts, and 900 with half of them meant for it")


def documents(pair, count):
    folder = os.path.join(pair.bench.folder, "documents")
    os.makedirs(folder)
    for i in range(count):
        with open(os.path.join(folder, "d%02d.txt" % i), "w") as file:
            file.write("document %d is about rivers\n" % i)
    return folder


def search(pair, words, *extra):
    out, errors = verb(pair.bench, "search", "--mode", "semantic", "--json", "-n", "1", *extra, words)
    found = json.loads(out)
    check("hits" in found and found["hits"], "found nothing: %s" % out[-300:])
    return found["hits"][0], errors


def searches(program):
    pair = Pair(program)
    folder = documents(pair, 12)
    verb(pair.bench, "index", folder, "-m", model_of(pair.first), "--fallback", model_of(pair.second))
    fallback = ("--fallback", model_of(pair.second))
    stop(pair.second)
    hit, _ = search(pair, "document 7 is about rivers", *fallback)
    check(hit["score"] > 0.99 and "d07" in json.dumps(hit), "with the fallback away: %s" % hit)
    hit, _ = search(pair, "something new", *fallback)
    pair.close()
    pair = Pair(program)
    folder = documents(pair, 12)
    fallback = ("--fallback", model_of(pair.second))
    verb(pair.bench, "index", folder, "-m", model_of(pair.first), *fallback)
    stop(pair.first)
    hit, _ = search(pair, "document 5 is about rivers", *fallback)
    check("d05" in json.dumps(hit), "with the model away: %s" % hit)
    search(pair, "something else", *fallback)
    check(any("something else" in text for text in pair.second.answered), "the fallback was not asked")
    with open(os.path.join(folder, "d99.txt"), "w") as file:
        file.write("a late document about the sea\n")
    out, _ = verb(pair.bench, "index", folder, "--json", *fallback)
    report = json.loads(out)
    check(report["documents"]["added"] == 1 and report["documents"]["unchanged"] == 12, "index with the model away: %s" % report)
    hit, _ = search(pair, "a late document about the sea", *fallback)
    check("d99" in json.dumps(hit), "what was added: %s" % hit)
    pair.close()
    print("search and index, with the fallback away and with the model away")


if __name__ == "__main__":
    primary_dies(sys.argv[1])
    primary_is_away(sys.argv[1])
    fallback_is_away(sys.argv[1])
    searches(sys.argv[1])
