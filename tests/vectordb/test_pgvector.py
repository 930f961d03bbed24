#!/usr/bin/env python3
"""pgvector: the common contract of vector stores, and what is PostgreSQL's own, on a real server; copying collections.

test_pgvector.py STORE_CONTRACT SEXTANT [NAME...]"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from contract import run_contract  # noqa: E402
from pgvector_server import PgVector  # noqa: E402

CONTRACT, SEXTANT = map(os.path.abspath, sys.argv[1:3])
home = tempfile.mkdtemp(prefix="pgvector-")


def sextant(*words, code=0, **settings):
    run = subprocess.run([SEXTANT, *words], capture_output=True, text=True, cwd=home,
                         env={"HOME": home, "PATH": os.environ["PATH"], "VECTOR_STORE_API_KEY": PgVector.password, **settings})
    assert run.returncode == code, "%s: exit %d: %s%s" % (words, run.returncode, run.stdout[-500:], run.stderr[-1500:])
    assert "sesame" not in run.stdout + run.stderr, run.stderr
    return run.stdout + ("" if code == 0 else run.stderr)


def place(server):
    return "postgresql://keeper@127.0.0.1:%d/postgres" % server.port


def exported(name, file, *more):
    sextant("collections", "export", name, "-o", file, *more)
    return open(home + "/" + file, "rb").read()


def contract(server):
    assert run_contract(CONTRACT, server.url(), server.restart)


def round_trip(server):
    """Here -> PostgreSQL -> another collection there -> here: the JSON lines are the same bytes."""
    os.makedirs(home + "/docs/deep")
    for number in range(60):
        with open("%s/docs/%s%d.md" % (home, "deep/" if number % 2 else "", number), "w") as file:
            file.write("# Title \"%d\" \\ é\u2028x\n\n" % number + "".join("Paragraph %d of document %d: 文字.\n\n" % (i, number) for i in range(number)))
    sextant("index", "-m", "fake:x", "-c", "books", "docs", "--chunk-size", "200", "--unit", "chars", "--metadata", "zeta=1", "--metadata",
            "a=two words é", "--metadata", "sextant=a user's own")
    before = exported("books", "before.jsonl")
    chunks = before.count(b"\n")
    assert chunks > 100, chunks
    report = json.loads(sextant("collections", "export", "books", "--to", place(server), "--json"))
    assert report["records"] == report["count"] == chunks and report["extra"] == report["left_out"] == 0, report
    again = json.loads(sextant("collections", "export", "books", "--to", place(server), "--json"))
    assert again["count"] == chunks and again["extra"] == 0, again
    assert server.ask("SELECT count(*) FROM sextant_collection_books WHERE metadata->>'a' = 'two words é'") == str(chunks)
    copied = json.loads(sextant("collections", "copy", "books", "--from", place(server), "--to", place(server), "--as", "books 2", "--json"))
    assert copied["records"] == copied["count"] == chunks, copied
    taken = json.loads(sextant("collections", "import", "books", "--db", "other.db", "--from", place(server), "--as", "books 2", "--json"))
    assert taken["records"] == chunks, taken
    after = exported("books", "after.jsonl", "--db", "other.db")
    differ = [(a, b) for a, b in zip(before.split(b"\n"), after.split(b"\n")) if a != b]
    assert after == before, "the round trip changed %d lines: %s" % (len(differ), differ[:1])
    assert "books" in sextant("collections", "import", "books", "--db", "other.db", "--from", place(server), code=1)
    # A document changes: its old chunks are told of, and taken out when that is wanted.
    with open(home + "/docs/0.md", "a") as file:
        file.write("Something else altogether.\n")
    os.unlink(home + "/docs/deep/59.md")
    sextant("index", "-c", "books", "docs")
    now = exported("books", "now.jsonl").count(b"\n")
    report = json.loads(sextant("collections", "export", "books", "--to", place(server), "--json"))
    assert report["extra"] > 0 and report["count"] == now + report["extra"], report
    report = json.loads(sextant("collections", "export", "books", "--to", place(server), "--prune", "--json"))
    assert report["extra"] == 0 and report["count"] == now and report["pruned"] > 0, report


def wrong(server):
    said = sextant("collections", "export", "books", "--to", "postgresql://keeper:sesame@127.0.0.1:%d/postgres" % server.port, code=2)
    assert "command line" in said, said
    said = sextant("collections", "export", "books", "--to", place(server), code=1, VECTOR_STORE_API_KEY="wrong")
    assert "password authentication failed" in said and "denied" not in said.lower()[:20], said
    said = sextant("collections", "export", "books", "--to", place(server) + "_not_there", code=1)
    assert "does not exist" in said, said
    said = sextant("collections", "import", "new", "--from", place(server), code=1)
    assert "no such collection" in said and "books" in said, said
    sextant("collections", "export", "books", "--to", "nonsense://host", code=1)
    sextant("collections", "export", "books", "--to", place(server), "--offline", code=1)


def old_extension(server):
    """A server whose pgvector is too old says so by its version."""
    version = server.ask("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    server.ask("UPDATE pg_extension SET extversion = '0.6.2' WHERE extname = 'vector'")
    try:
        said = sextant("collections", "export", "books", "--to", place(server), "--as", "half", "--element", "f16", code=1)
        assert "needs pgvector 0.7" in said and "0.6.2" in said, said
        server.ask("UPDATE pg_extension SET extversion = '0.4.4' WHERE extname = 'vector'")
        said = sextant("collections", "export", "books", "--to", place(server), "--as", "old", code=1)
        assert "0.5" in said and "0.4.4" in said, said
    finally:
        server.ask("UPDATE pg_extension SET extversion = '%s' WHERE extname = 'vector'" % version)


def kinds_of_index(server):
    for index, element in (("ivfflat", "f32"), ("none", "f32"), ("hnsw", "f16"), ("ivfflat", "f16")):
        name = index + element
        report = json.loads(sextant("collections", "export", "books", "--to", place(server), "--as", name, "--index", index, "--element", element,
                                    "--json"))
        assert report["records"] == report["count"], report
        made = server.ask("SELECT indexdef FROM pg_indexes WHERE tablename = 'sextant_collection_%s'" % name)
        assert ("USING " + index in made) == (index != "none"), made
        assert ("halfvec_cosine_ops" in made) == (element == "f16"), made


def large_vectors(server):
    """Vectors of more than 2,000 dimensions: kept as floats, with an index over halves; they come back bit for bit."""
    os.makedirs(home + "/few")
    for number in range(20):
        with open("%s/few/%d.md" % (home, number), "w") as file:
            file.write("# Title %d\n\nText number %d.\n" % (number, number))
    sextant("index", "-m", "fake:big?dimensions=3072", "-c", "big", "few")
    sextant("collections", "export", "big", "--to", place(server))
    made = server.ask("SELECT indexdef FROM pg_indexes WHERE tablename = 'sextant_collection_big'")
    assert "halfvec(3072)) halfvec_cosine_ops" in made, made
    sextant("collections", "import", "big", "--db", "big.db", "--from", place(server))
    assert exported("big", "big.jsonl") == exported("big", "again.jsonl", "--db", "big.db")


def main():
    wanted = sys.argv[3:]
    failed = 0
    server = PgVector()
    try:
        for case in (round_trip, wrong, kinds_of_index, large_vectors, old_extension, contract):
            if wanted and case.__name__ not in wanted:
                continue
            try:
                case(server)
                print("ok %s" % case.__name__, flush=True)
            except AssertionError as problem:
                failed = 1
                print("FAILED %s: %s" % (case.__name__, problem), flush=True)
    finally:
        server.close()
        shutil.rmtree(home, ignore_errors=True)
    sys.exit(failed)


main()
