#!/usr/bin/env python3
"""A collection exported to each kind of vector database (stand-ins, which hold what they are given): found there as it is here, copied from one to the
next, and taken back with the same bytes.

test_store_search.py SEXTANT"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in_server import StandIn  # noqa: E402

SEXTANT = os.path.abspath(sys.argv[1])
home = tempfile.mkdtemp(prefix="store-search-")
KINDS = (("weaviate", "weaviate_stand_in.py", "127.0.0.1"), ("milvus", "milvus_stand_in.py", "127.0.0.1"),
         ("pinecone", "pinecone_stand_in.py", "localhost"))
QUESTIONS = ("the harbour in the evening", "letters of an engine", "winter garden", "Überfahrt nach Süden")


def sextant(*words, code=0, **settings):
    run = subprocess.run([SEXTANT, *words], capture_output=True, text=True, cwd=home,
                         env={"HOME": home, "PATH": os.environ["PATH"], "VECTOR_STORE_API_KEY": "sesame", **settings})
    assert run.returncode == code, "%s: exit %d: %s%s" % (words, run.returncode, run.stdout[-500:], run.stderr[-1500:])
    assert "sesame" not in run.stdout + run.stderr, run.stderr
    return run.stdout + ("" if code == 0 else run.stderr)


def make_documents():
    words = "harbour evening garden winter letter engine paper stone bridge island".split()
    for number in range(40):
        os.makedirs("%s/docs/%d" % (home, number % 3), exist_ok=True)
        with open("%s/docs/%d/%d.md" % (home, number % 3, number), "w") as file:
            file.write("# Title %d é\n\n" % number + "".join("%s %s %d.\n\n" % (words[(number * i) % 10], words[(number + i) % 10], i) for i in range(9)))
    sextant("index", "-m", "fake:x", "-c", "books", "docs/0", "docs/1", "--chunk-size", "60", "--unit", "chars", "--metadata", "part=first half")
    sextant("index", "-m", "fake:x", "-c", "books", "docs/2", "--chunk-size", "60", "--unit", "chars", "--metadata", "part=second")


def exported(name, file, *more):
    sextant("collections", "export", name, "-o", file, *more)
    return open(home + "/" + file, "rb").read()


def found(*words, **settings):
    return json.loads(sextant("search", *words, "--json", **settings))


def places(report):
    return [(hit["document"], hit["index"], hit["start"], hit["end"], hit["start_line"], hit["headings"], hit["metadata"], hit["text"],
             round(hit["similarity"], 4)) for hit in report["hits"]]


def search_there(url):
    for question in QUESTIONS:
        for more in ((), ("-n", "20"), ("--filter", "part=second"), ("--filter", "part!=second and document ^= 1/"), ("--threshold", "0.1")):
            here = found(question, "-c", "books", "--mode", "semantic", "--keep-duplicates", *more)
            there = found(question, "-c", "books", "--store", url, *more)
            assert there["mode"] == "semantic" and sorted(map(str, places(here))) == sorted(map(str, places(there))), \
                "%s %s: %s\nhere: %s" % (question, more, places(there)[:2], places(here)[:2])
    assert "harbour" in sextant("search", "harbour", "-c", "books", "--store", url)
    assert found("harbour", "-c", "books", "--store", "shelf", VECTOR_STORE_URL_SHELF=url)["hits"]


def mistakes(url):
    assert "VECTOR_STORE_URL_SHELF" in sextant("search", "x", "-c", "books", "--store", "shelf", code=2)
    assert "keyword" in sextant("search", "x", "-c", "books", "--store", url, "--mode", "keyword", code=1)
    assert "nowhere" in sextant("search", "x", "-c", "nowhere", "--store", url, code=1)
    said = sextant("search", "x", "-c", "books", "--store", url, "-m", "fake:other", code=1)
    assert "fake:x" in said and "fake:other" in said, said
    assert "dimensions" in sextant("search", "x", "-c", "books", "--store", url, "-m", "fake:x?dimensions=16", code=1)
    assert "--offline" in sextant("search", "x", "-c", "books", "--store", url, "--offline", code=1)
    assert "command line" in sextant("search", "x", "-c", "books", "--store", url.replace("://", "://me:sesame@"), code=2)
    sextant("search", "x", "-c", "books", "--store", url, "--in", "x.json", code=2)


def main():
    servers = []
    try:
        make_documents()
        before = exported("books", "before.jsonl")
        previous = None
        for kind, program, host in KINDS:
            server = StandIn(program)
            servers.append(server)
            url = "%s://%s:%d" % (kind, host, server.port)
            words = ("collections", "copy", "books", "--from", previous) if previous else ("collections", "export", "books")
            report = json.loads(sextant(*words, "--to", url, "--json"))
            assert report["records"] == report["count"] == before.count(b"\n"), report
            search_there(url)
            mistakes(url)
            sextant("collections", "import", "books", "--db", kind + ".db", "--from", url)
            assert exported("books", kind + ".jsonl", "--db", kind + ".db") == before, "the round trip by %s changed something" % kind
            print("ok %s" % kind, flush=True)
            previous = url
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(home, ignore_errors=True)


try:
    main()
except AssertionError as problem:
    sys.exit("FAILED: %s" % problem)
