#!/usr/bin/env python3
"""Qdrant: the common contract of vector stores on a stand-in made of the official client (qdrant_stand_in.py says why and how near it is).

test_qdrant.py STORE_CONTRACT RECORDED [ARGUMENTS OF STORE_CONTRACT...]   RECORDED: requests of the official client, to compare forms with"""
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, here + "/../caches"]
from servers import Server  # noqa: E402


class StandIn(Server):
    def __init__(self, log):
        super().__init__()
        found = subprocess.run([here + "/../../scripts/install-python-packages", "qdrant"], check=True, stdout=subprocess.PIPE, text=True)
        self.launch([sys.executable, "-B", here + "/qdrant_stand_in.py", str(self.port), "--log", log],
                    env=dict(os.environ, PYTHONPATH=found.stdout.strip()))

    def answers(self):
        try:
            urllib.request.urlopen("http://127.0.0.1:%d/" % self.port, timeout=2)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


def form(request):
    """Method, path without names, and the fields at the top of the body."""
    path = re.sub(r"/collections/(?!aliases)[^/?]+", "/collections/N", request["path"])
    return request["method"], path, tuple(sorted(request["body"] or {}))


def main():
    with tempfile.TemporaryDirectory(prefix="qdrant-") as folder:
        log = folder + "/log"
        server = StandIn(log)
        try:
            passed = subprocess.run([sys.argv[1], "qdrant://127.0.0.1:%d" % server.port, "--key", "sesame", *sys.argv[3:]]).returncode == 0
        finally:
            server.close()
        ours = {}
        for line in open(log):
            request = json.loads(line)
            ours.setdefault(form(request)[:2], set()).update(form(request)[2])
    theirs = {}
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
    sys.exit(0 if passed and len(ours) >= 8 else 1)


main()
