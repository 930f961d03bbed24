#!/usr/bin/env python3
"""Qdrant: the common contract of vector stores on a stand-in made of the official client (qdrant_stand_in.py says why and how near it is).

test_qdrant.py STORE_CONTRACT RECORDED [ARGUMENTS OF STORE_CONTRACT...]   RECORDED: requests of the official client, to compare forms with"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in_server import contract_passes  # noqa: E402


def form(request):
    """Method, path without names, and the fields at the top of the body."""
    path = re.sub(r"/collections/(?!aliases)[^/?]+", "/collections/N", request["path"])
    return request["method"], path, tuple(sorted(request["body"] or {}))


def check(server):
    ours, theirs, passed = {}, {}, True
    for line in server.requests():
        request = json.loads(line)
        ours.setdefault(form(request)[:2], set()).update(form(request)[2])
    for request in json.load(open(sys.argv[2]))["requests"]:
        theirs.setdefault(form(request)[:2], set()).update(form(request)[2])
    # What the recorded client did not say, and the API has: see the client's models.
    also = {("POST", "/collections/N/points/query"): {"using", "score_threshold"}, ("POST", "/collections/N/points/scroll"): {"offset"},
            ("PUT", "/collections/N"): {"metadata"}}
    for call, fields in sorted(ours.items()):
        unknown = fields - theirs.get(call, set()) - also.get(call, set())
        if call not in theirs or unknown:
            print("FAILED: %s %s %s is no request of the official client" % (*call, sorted(unknown)))
            passed = False
    print("%d forms of requests compared with the official client's" % len(ours))
    return passed and len(ours) >= 8


sys.exit(0 if contract_passes(sys.argv[1], "qdrant", "qdrant_stand_in.py", *sys.argv[3:], packages="qdrant", check=check) else 1)
