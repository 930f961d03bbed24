#!/usr/bin/env python3
"""Weaviate: the common contract of vector stores on a stand-in (weaviate_stand_in.py says how near it is; tests/real has the real server).

test_weaviate.py STORE_CONTRACT [ARGUMENTS OF STORE_CONTRACT...]"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in_server import contract_passes  # noqa: E402

sys.exit(0 if contract_passes(sys.argv[1], "weaviate", "weaviate_stand_in.py", *sys.argv[2:]) else 1)
