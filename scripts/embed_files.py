"""embed_files.py OUT.c TABLE FILE...: files as C arrays, in a table of sx_embedded_file (src/base/embedded_file.h) by their names. Run by meson."""
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml", ".json": "application/json"}

out, table = sys.argv[1:3]
arrays, rows = [], []
for number, path in enumerate(sys.argv[3:]):
    with open(path, "rb") as f:
        data = f.read()
    lines = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
    arrays.append(f"static const unsigned char file_{number}[] = {{\n    " + ",\n    ".join(lines) + "};\n")
    name, kind = os.path.basename(path), TYPES[os.path.splitext(path)[1]]
    rows.append(f'    {{"{name}", "{kind}", file_{number}, {len(data)}}},\n')
with open(out, "w") as f:
    f.write('/* Made by embed_files.py. */\n#include "base/embedded_file.h"\n\n' + "\n".join(arrays))
    f.write(f"\nextern const sx_embedded_file {table}[];\nextern const size_t {table}_count;\n")
    f.write(f"const sx_embedded_file {table}[] = {{\n" + "".join(rows) + f"}};\nconst size_t {table}_count = {len(rows)};\n")
