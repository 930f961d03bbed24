#!/usr/bin/env python3
"""pgvector: the common contract of vector stores, and what is PostgreSQL's own.

test_pgvector.py STORE_CONTRACT SEXTANT [NAME...]"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from contract import run_contract  # noqa: E402
from pgvector_server import PgVector  # noqa: E402

CONTRACT, SEXTANT = map(os.path.abspath, sys.argv[1:3])


def main():
    server = PgVector()
    try:
        passed = run_contract(CONTRACT, server.url(), server.restart, *sys.argv[3:])
    finally:
        server.close()
    sys.exit(0 if passed else 1)


main()
