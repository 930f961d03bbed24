#!/usr/bin/env python3
"""`collections export --format arrow`, read by pyarrow: all rows, bit for bit what the JSON lines say; as Parquet; several batches, none, odd texts.

test_arrow.py SEXTANT        The packages of scripts/requirements/arrow.txt are installed when they are not there."""
import json
import os
import struct
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
packages = subprocess.run([here + "/../../scripts/install-python-packages", "arrow"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
sys.path.insert(0, packages)
import pyarrow  # noqa: E402
import pyarrow.ipc  # noqa: E402
import pyarrow.parquet  # noqa: E402

SEXTANT = os.path.abspath(sys.argv[1])
home = tempfile.TemporaryDirectory(prefix="arrow-")


def sextant(*words, **more):
    subprocess.run([SEXTANT, *words], check=True, cwd=home.name, env={"HOME": home.name, "PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, **more)


def as_floats(numbers):
    return [struct.unpack("f", struct.pack("f", number))[0] for number in numbers]


def check(name, model, dimensions, texts):
    folder = home.name + "/" + name
    os.mkdir(folder)
    for number, text in enumerate(texts):
        with open("%s/%d.md" % (folder, number), "w") as file:
            file.write(text)
    sextant("index", "-q", "-m", model, "-c", name, name, "--chunk-size", "40", "--unit", "chars", "--metadata", "a=é \"b\"")
    sextant("collections", "export", name, "-o", name + ".jsonl")
    sextant("collections", "export", name, "--format", "arrow", "-o", name + ".arrow")
    table = pyarrow.ipc.open_file(folder + ".arrow").read_all()
    table.validate(full=True)
    rows = [json.loads(line) for line in open(folder + ".jsonl")]
    assert table.num_rows == len(rows), (table.num_rows, len(rows))
    assert json.loads(table.schema.metadata[b"sextant"])["dimensions"] == dimensions
    assert table.schema.field("vector").type.list_size == dimensions
    for ours, theirs in zip(table.to_pylist(), rows):
        assert ours["vector"] == as_floats(theirs["embedding"]), theirs["document"]
        assert ours["id"] == "%s#%d" % (theirs["document"], theirs["index"])
        assert json.loads(ours["metadata"]) == theirs["metadata"] and json.loads(ours["headings"]) == theirs["headings"]
        for key in ("document", "root", "index", "start", "end", "start_line", "end_line", "text"):
            assert ours[key] == theirs[key], (key, ours[key], theirs[key])
    pyarrow.parquet.write_table(table, folder + ".parquet")
    assert pyarrow.parquet.read_table(folder + ".parquet").equals(table.replace_schema_metadata(table.schema.metadata))
    sextant("collections", "export", name, "--format", "arrow", "-o", name + "-again.arrow")
    assert open(folder + ".arrow", "rb").read() == open(folder + "-again.arrow", "rb").read()
    print("ok %s: %d rows in %d batches" % (name, len(rows), pyarrow.ipc.open_file(folder + ".arrow").num_record_batches), flush=True)
    return len(rows)


check("one", "fake:x", 8, ["x"])
check("odd", "fake:x?dimensions=7", 7, ["# A \"title\" \\ é\n\n文字 ✓ 😀\n" * n for n in range(1, 20)])
assert check("many", "fake:x?dimensions=33", 33, ["".join("Line %d of text %d, é.\n\n" % (i, n) for i in range(40)) for n in range(250)]) > 9000
