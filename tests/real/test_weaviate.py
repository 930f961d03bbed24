"""A real Weaviate: the common contract of vector stores, with kill -9 in the middle of a load; and that its answers still have the shapes that the stand-in
of tests/vectordb was made by (tests/fixtures/wire/weaviate.json).

    test_weaviate.py STORE_CONTRACT [--record] [ARGUMENTS OF STORE_CONTRACT...]      --record: writes the shapes anew
"""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, here + "/../vectordb"]
from contract import run_contract  # noqa: E402
from weaviate_server import Weaviate  # noqa: E402
from weaviate_shapes import FIXTURE, same_shapes  # noqa: E402


def main():
    words = [word for word in sys.argv[2:] if word != "--record"]
    server = Weaviate()
    try:
        url = "http://127.0.0.1:%d" % server.port
        passed = same_shapes(server.inside([sys.executable, "-B", here + "/../vectordb/weaviate_shapes.py", url]), FIXTURE, "--record" in sys.argv)
        passed = run_contract(sys.argv[1], "weaviate://127.0.0.1:%d" % server.port, server.restart, "--key", "sesame", *words, inside=server.inside) and passed
    finally:
        server.close()
    sys.exit(0 if passed else 1)


main()
