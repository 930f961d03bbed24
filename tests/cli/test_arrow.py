#!/usr/bin/env python3
"""`collections export --format arrow`, read by pyarrow: all rows, bit for bit what the JSON lines say; as Parquet; several batches, none, odd texts.
`collections import`: what was exported comes back, tables of pyarrow's in every type and compression that is read; others, and cut files, are refused.

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


# ---- In: our own export, and tables as pyarrow, pandas (Feather, LZ4) and Polars (string views, large lists) write them ----

def fails(*words):
    done = subprocess.run([SEXTANT, *words], cwd=home.name, env={"HOME": home.name, "PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode not in (0, None) and done.returncode > 0, (words, done)
    return done.stderr.decode()


def lines(name):
    sextant("collections", "export", name, "-o", name + "-back.jsonl")
    return [json.loads(line) for line in open("%s/%s-back.jsonl" % (home.name, name))]


def comes_back(name):
    sextant("collections", "import", name + "-in", name + ".arrow")
    before, after = ([{k: row[k] for k in ("document", "root", "index", "start", "end", "start_line", "end_line", "headings", "text", "embedding", "metadata")}
                      for row in rows] for rows in (lines(name), lines(name + "-in")))
    assert before == after, (before[0], after[0])


def write(table, name, compression=None):
    path = "%s/%s.arrow" % (home.name, name)
    with pyarrow.ipc.new_file(path, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=compression)) as out:
        out.write_table(table, max_chunksize=7)
    return path


def vectors_of(table, dimensions):
    return [as_floats(row) for row in table.column("vector").to_pylist()]


for name in ("one", "odd", "many"):
    comes_back(name)
N, D = 40, 5
numbers = [[(i * D + k) % 17 / 16 - 0.5 for k in range(D)] for i in range(N)]
texts = ["text %d, %s" % (i, "é" * (i % 9)) for i in range(N)]
base = {"id": ["r%d" % i for i in range(N)], "text": texts, "page": list(range(N)), "share": [i / 8 for i in range(N)],
        "good": [i % 3 == 0 for i in range(N)], "tag": [None if i % 4 else "t%d" % i for i in range(N)], "error": ["" for _ in range(N)]}
floats = {"f16": pyarrow.float16(), "f32": pyarrow.float32(), "f64": pyarrow.float64()}
lists = {"fixed": lambda t: pyarrow.list_(t, D), "list": pyarrow.list_, "large": pyarrow.large_list}
strings = {"": pyarrow.string(), "-wide": pyarrow.large_string(), "-view": pyarrow.string_view()}
tried = 0
for float_name, number in floats.items():
    for list_name, make in lists.items():
        for string_name, string in strings.items():
            for compression in (None, "zstd", "lz4"):
                if compression and float_name == "f64":
                    continue
                rows = numbers if float_name != "f16" else [[pyarrow.scalar(x, pyarrow.float16()) for x in row] for row in numbers]
                columns = {key: pyarrow.array(value, string) if key in ("id", "text", "tag") else pyarrow.array(value) for key, value in base.items()}
                columns["page"] = columns["page"].cast([pyarrow.int8(), pyarrow.uint16(), pyarrow.int64()][tried % 3])
                columns["embedding" if tried % 2 else "vector"] = pyarrow.array(rows, make(number))
                name = "t%d" % tried
                write(pyarrow.table(columns).slice(tried % 5), name, compression)
                sextant("collections", "import", name, name + ".arrow", stderr=subprocess.DEVNULL)
                back = {row["text"]: row for row in lines(name)}
                assert len(back) == N - tried % 5, (name, len(back))
                for i in range(tried % 5, N):
                    row = back[texts[i]]
                    wanted = {"page": i, "share": i / 8, "good": i % 3 == 0, "tag": base["tag"][i], "error": ""}
                    assert row["metadata"] == wanted or row["metadata"].items() >= wanted.items(), (name, row, wanted)
                    assert row["embedding"] == as_floats(numbers[i]), (name, row["embedding"], numbers[i])
                tried += 1
pyarrow.feather = __import__("pyarrow.feather").feather
pyarrow.feather.write_feather(pyarrow.table({"text": texts, "embedding": numbers}), home.name + "/feather.arrow")
sextant("collections", "import", "feather", "feather.arrow", stderr=subprocess.DEVNULL)
assert len(lines("feather")) == N
hits = subprocess.run([SEXTANT, "search", "--in", "one.arrow", "x", "-n", "1", "--json", "-m", "fake:x"], cwd=home.name, stdout=subprocess.PIPE,
                      env={"HOME": home.name, "PATH": os.environ["PATH"]}, check=True).stdout
assert json.loads(hits)["hits"][0]["similarity"] > 0.999
refused = {"dictionary": ({"text": pyarrow.array(texts).dictionary_encode(), "vector": numbers}, "column text: is a dictionary"),
           "time": ({"when": pyarrow.array([0] * N, pyarrow.timestamp("s")), "vector": numbers}, "column when: is of a type"),
           "words": ({"words": [["a"]] * N, "vector": numbers}, "column words: is a list of something else"),
           "none": ({"text": texts}, "has no column of lists of floats"), "two": ({"vector": numbers, "more": numbers}, "column more: is another column of vectors"),
           "holes": ({"vector": numbers[:3] + [None] + numbers[4:]}, "row 3, column vector: there is no vector"),
           "ragged": ({"vector": numbers[:3] + [[1.0, 2.0]] + numbers[4:]}, "a vector of 2 numbers"),
           "infinite": ({"vector": numbers[:3] + [[float("inf")] * D] + numbers[4:]}, "row 3, column vector: has a number that is none")}
for name, (columns, says) in refused.items():
    write(pyarrow.table(columns), name)
    said = fails("collections", "import", name, name + ".arrow")
    assert says in said, (name, said)
pyarrow.parquet.write_table(pyarrow.table({"text": texts, "vector": numbers}), home.name + "/p.parquet")
said = fails("collections", "import", "p", "p.parquet")
assert "is Parquet" in said and "write_feather" in said, said
with pyarrow.ipc.new_stream(home.name + "/stream.arrow", pyarrow.table({"vector": numbers}).schema) as out:
    out.write_table(pyarrow.table({"vector": numbers}))
assert "is an Arrow stream" in fails("collections", "import", "s", "stream.arrow")
whole = open(write(pyarrow.table({"text": texts, "vector": pyarrow.array(numbers, pyarrow.list_(pyarrow.float32(), D))}), "whole", "lz4"), "rb").read()
for cut in range(8, len(whole) - 1, len(whole) // 40):
    with open(home.name + "/cut.arrow", "wb") as out:
        out.write(whole[:cut])
    assert "damaged Arrow file" in fails("collections", "import", "cut", "cut.arrow")
print("ok in: %d tables of pyarrow, %d refused by name" % (tried, len(refused) + 2), flush=True)
