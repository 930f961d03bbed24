#!/usr/bin/env python3
"""Weaviate: the common contract of vector stores on a stand-in, whose answers have the shapes that a real server's had (tests/real has that server), and
which is asked nothing that the real one was not.

test_weaviate.py STORE_CONTRACT [ARGUMENTS OF STORE_CONTRACT...]"""
import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from stand_in_server import contract_passes  # noqa: E402
from weaviate_shapes import FIXTURE, form, same_shapes  # noqa: E402


def check(server):
    same = same_shapes([sys.executable, "-B", here + "/weaviate_shapes.py", "http://127.0.0.1:%d" % server.port], FIXTURE)
    tried = {}
    for one in json.load(open(FIXTURE)):
        method, path, members = form(dict(zip(("method", "path", "body"), one["request"])))
        tried.setdefault((method, path), set()).update(members)
    for line in server.requests():
        method, path, members = form(json.loads(line))
        if set(members) - tried.get((method, path), {"nothing of this kind"}):
            print("FAILED: %s %s %s was never tried on a real server" % (method, path, members))
            same = False
    return same


sys.exit(0 if contract_passes(sys.argv[1], "weaviate", "weaviate_stand_in.py", *sys.argv[2:], check=check) else 1)
