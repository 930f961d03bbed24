#!/usr/bin/env python3
"""Pinecone: the common contract of vector stores on a stand-in (pinecone_stand_in.py says by what it was made).

test_pinecone.py STORE_CONTRACT [ARGUMENTS OF STORE_CONTRACT...]"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stand_in_server import contract_passes  # noqa: E402

sys.exit(0 if contract_passes(sys.argv[1], "pinecone", "pinecone_stand_in.py", "--longest-text", "35000", *sys.argv[2:], host="localhost",
                              rest="/aws/us-east-1") else 1)
