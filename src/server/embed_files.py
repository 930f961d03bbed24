"""embed_files.py OUT.c FILE...: files as C arrays, in a table of struct sx_page_file (page_files.h) by their names. Run by meson."""
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml", ".json": "application/json"}

arrays, rows = [], []
for number, path in enumerate(sys.argv[2:]):
    with open(path, "rb") as f:
        data = f.read()
    lines = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    arrays.append(f"static const unsigned char file_{number}[] = {{\n    " + ",\n    ".join(lines) + "};\n")
    name, kind = os.path.basename(path), TYPES[os.path.splitext(path)[1]]
    rows.append(f'    {{"{name}", "{kind}", file_{number}, {len(data)}}},\n')
with open(sys.argv[1], "w") as f:
    f.write('/* Made by embed_files.py. */\n#include "server/page_files.h"\n\n' + "\n".join(arrays) + "\nconst sx_page_file sx_page_files[] = {\n")
    f.write("".join(rows) + f"}};\nconst size_t sx_page_file_count = {len(rows)};\n")
