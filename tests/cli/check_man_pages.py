#!/usr/bin/env python3
"""check_man_pages.py SEXTANT PAGE...: docs/man/meson.build makes a page for every verb and group the program has, and no other."""
import subprocess
import sys

overview = subprocess.run([sys.argv[1], "--help"], capture_output=True, text=True, check=True).stdout
verbs = overview.split("\nVerbs\n")[1].split("\n\n")[0]
there = {line.split()[0] for line in verbs.splitlines()}
listed = set(sys.argv[2:])
for name in sorted(there ^ listed):
    print("%s: %s" % (name, "no page in docs/man/meson.build" if name in there else "a page, but no such verb"))
print("%d pages for %d verbs and groups" % (len(listed), len(there)))
sys.exit(there != listed)
