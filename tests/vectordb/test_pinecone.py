#!/usr/bin/env python3
"""Pinecone: the common contract of vector stores on a stand-in (pinecone_stand_in.py says by what it was made), and that the key goes to no other domain.

test_pinecone.py STORE_CONTRACT [ARGUMENTS OF STORE_CONTRACT...]"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in_server import StandIn, contract_passes  # noqa: E402


def key_stays_here():
    for host in ("elsewhere.example", "localhost.example", "notlocalhost", "x.localhost@elsewhere.example", "elsewhere.example/x.localhost"):
        server = StandIn("pinecone_stand_in.py", None, "--host", host)
        try:
            run = subprocess.run([sys.argv[1], "pinecone://localhost:%d" % server.port, "--key", "sesame", "--only", "records"], capture_output=True, text=True)
        finally:
            server.close()
        if run.returncode != 1 or "another domain" not in run.stdout:
            print("FAILED: an index at %s: exit code %d: %s%s" % (host, run.returncode, run.stdout[-300:], run.stderr[-300:]))
            return False
    print("ok key_stays_here")
    return True


passed = contract_passes(sys.argv[1], "pinecone", "pinecone_stand_in.py", "--longest-text", "35000", *sys.argv[2:], host="localhost", rest="/aws/us-east-1")
sys.exit(0 if key_stays_here() and passed else 1)
