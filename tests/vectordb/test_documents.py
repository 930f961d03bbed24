#!/usr/bin/env python3
"""The commands of docs/vector-databases.md, on a real PostgreSQL with pgvector and a real Chroma.

test_documents.py SEXTANT"""
import os
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from chroma_server import Chroma  # noqa: E402
from pgvector_server import PgVector  # noqa: E402

postgres, chroma = PgVector(), Chroma()
try:
    settings = {"VECTOR_STORE_URL_SHELF": "postgresql://keeper@127.0.0.1:%d/postgres" % postgres.port, "VECTOR_STORE_URL_SPARE": chroma.url("?batch=200"),
                "VECTOR_STORE_API_KEY": postgres.password}
    run = subprocess.run([sys.executable, "-B", here + "/../house/run_documents.py", sys.argv[1], here + "/../../docs/vector-databases.md"],
                         env={**os.environ, **settings})
finally:
    postgres.close()
    chroma.close()
sys.exit(run.returncode)
