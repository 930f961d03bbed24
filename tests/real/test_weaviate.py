"""A real Weaviate: the common contract of vector stores, with kill -9 in the middle of a load; that its answers still have the shapes that the stand-in of
tests/vectordb was made by (tests/fixtures/wire/weaviate.json); and a collection exported, found and taken back by the program.

    test_weaviate.py SEXTANT [--record] [ARGUMENTS OF STORE_CONTRACT...]      --record: writes the shapes anew

tests/vectordb/store_contract lies beside the program, where the build puts it.
"""
import json
import os
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, here + "/../vectordb"]
from contract import run_contract  # noqa: E402
from weaviate_server import Weaviate  # noqa: E402
from weaviate_shapes import FIXTURE, same_shapes  # noqa: E402

SEXTANT = os.path.realpath(sys.argv[1])
CONTRACT = os.path.dirname(SEXTANT) + "/tests/vectordb/store_contract"


def round_trip(server, url):
    with tempfile.TemporaryDirectory(prefix="weaviate-") as home:
        def sextant(*words):
            run = subprocess.run(server.inside([SEXTANT, *words]), cwd=home, capture_output=True, text=True,
                                 env={"HOME": home, "PATH": os.environ["PATH"], "VECTOR_STORE_API_KEY": "sesame"})
            assert run.returncode == 0, run.stderr[-1000:]
            return run.stdout

        os.mkdir(home + "/docs")
        for number in range(50):
            with open("%s/docs/%d.md" % (home, number), "w") as file:
                file.write("# Title %d é\n\n" % number + "".join("Paragraph %d of %d: 文字.\n\n" % (i, number) for i in range(number)))
        sextant("index", "-q", "-m", "fake:x", "-c", "books", "docs", "--chunk-size", "100", "--unit", "chars", "--metadata", "a=two words é")
        sextant("collections", "export", "books", "-o", "before.jsonl")
        report = json.loads(sextant("collections", "export", "books", "--to", url, "--json"))
        found = [[(hit["document"], hit["index"], hit["text"]) for hit in json.loads(sextant("search", "Paragraph", "-c", "books", "--json", *more))["hits"]]
                 for more in (("--store", url), ("--mode", "semantic", "--keep-duplicates"))]
        sextant("collections", "import", "books", "--db", "other.db", "--from", url)
        sextant("collections", "export", "books", "-o", "after.jsonl", "--db", "other.db")
        same = open(home + "/before.jsonl", "rb").read() == open(home + "/after.jsonl", "rb").read()
        print("%d records there and back: %s; the same hits: %s" % (report["count"], "the same bytes" if same else "FAILED: other bytes", found[0] == found[1]))
        return same and found[0] == found[1]


def main():
    words = [word for word in sys.argv[2:] if word != "--record"]
    server = Weaviate()
    try:
        url = "weaviate://127.0.0.1:%d" % server.port
        shapes = [sys.executable, "-B", here + "/../vectordb/weaviate_shapes.py", "http://127.0.0.1:%d" % server.port]
        passed = same_shapes(server.inside(shapes), FIXTURE, "--record" in sys.argv)
        passed = run_contract(CONTRACT, url, server.restart, "--key", "sesame", *words, inside=server.inside) and passed
        passed = round_trip(server, url) and passed
    finally:
        server.close()
    sys.exit(0 if passed else 1)


main()
