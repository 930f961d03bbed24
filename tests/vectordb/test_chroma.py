#!/usr/bin/env python3
"""Chroma: the common contract of vector stores on the real server.

test_chroma.py STORE_CONTRACT [ARGUMENTS OF IT...]"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chroma_server import Chroma  # noqa: E402
from contract import run_contract  # noqa: E402


def main():
    server = Chroma()
    try:
        # Batches of 200, since most of the time goes into the server's transactions; a part again with the batches that are usual.
        passed = run_contract(sys.argv[1], server.url("?batch=200"), server.restart, *sys.argv[2:])
        passed = passed and run_contract(sys.argv[1], server.url("/default_tenant/default_database"), server.restart, "--only", "records")
    finally:
        server.close()
    sys.exit(0 if passed else 1)


main()
