#!/usr/bin/env python3
"""Files that hold many documents: CSV, TSV, JSONL, JSON, SQL rows, mailboxes. Each record is a document with metadata; a changed record alone
is embedded again; what is wrong is named with its line, and costs one record. Usage: test_records.py SEXTANT"""
import csv
import gzip
import json
import pathlib
import random
import sqlite3
import subprocess
import sys
import tempfile

sextant = pathlib.Path(sys.argv[1]).resolve()
folder = pathlib.Path(tempfile.mkdtemp(prefix="sextant-records-"))
environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "EDITOR": "echo"}
problems = []


def check(condition, what):
    if not condition:
        problems.append(what)
        print("FAILED:", what, flush=True)


def run(*arguments, ok=(0,)):
    done = subprocess.run([sextant, *map(str, arguments)], env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    check(done.returncode in ok, f"{arguments}: exit {done.returncode}: {done.stderr}")
    return done


def index(collection, *arguments, ok=(0,)):
    return json.loads(run("index", *arguments, "-c", collection, "-m", "fake:a", "--json", ok=ok).stdout)


def counts(report):
    return {key: value for key, value in report["documents"].items() if value}


def search(collection, words, *arguments):
    return json.loads(run("search", words, "-c", collection, "--mode", "keyword", "--json", *arguments).stdout)["hits"]


def hit(collection, words, document, *arguments):
    found = [one for one in search(collection, words, *arguments) if one["document"] == document]
    check(bool(found), f"{collection}: {words}: {document} is not found")
    return found[0] if found else {"metadata": {}}


def write_csv(rows, path="data.csv", dialect="excel"):
    with open(folder / path, "w", newline="") as file:
        csv.writer(file, dialect=dialect).writerows([["id", "title", "text", "year"], *rows])


rows = [[f"r{i}", f"Title {i}", f"word{i} stands in record number {i},\nwhich has two lines.", 1990 + i % 20] for i in range(1, 201)]

# ---- CSV, and what changes in it ----
write_csv(rows)
report = index("csv", "data.csv", "--input-format", "csv")
check(counts(report) == {"total": 200, "added": 200} and report["chunks"]["embedded"] == 200, f"csv: {report}")
found = hit("csv", "word40", "data.csv/r40")
check(found["metadata"] == {"id": "r40", "title": "Title 40", "year": "1990", "media_type": "text/plain", "source_line": 80, "source_end_line": 81},
      f"csv: metadata {found['metadata']}")
line = (folder / "data.csv").read_text().split("\n")[found["metadata"]["source_line"] - 1]
check("word40" in line, f"csv: line {line!r}")
check({one["metadata"]["year"] for one in search("csv", "record", "--filter", "year=2005")} == {"2005"}, "csv: a filter on a column")
check(run("search", "word40", "-c", "csv", "--mode", "keyword", "--open", "1").stdout.split("\n")[-2] == f"+80 {folder.resolve()}/data.csv",
      "csv: --open opens the file")
check(counts(index("csv", "data.csv", "--input-format", "csv")) == {"total": 200, "unchanged": 200}, "csv: second run")
rows[16][2] = "changed text"
del rows[29]
write_csv(rows)
report = index("csv", "data.csv", "--input-format", "csv")
check(counts(report) == {"total": 199, "changed": 1, "removed": 1, "unchanged": 198}, f"csv: an edit: {report}")
check(report["chunks"]["total"] == report["chunks"]["embedded"] == 1, f"csv: an edit: {report['chunks']}")
rows.insert(0, ["new", "", "put in at the top", ""])
write_csv(rows)
report = index("csv", "data.csv", "--input-format", "csv")
check(counts(report) == {"total": 200, "added": 1, "unchanged": 199} and report["chunks"]["embedded"] == 1, f"csv: an insertion: {report}")
check(hit("csv", "word10", "data.csv/r10")["metadata"]["source_line"] == 21, "csv: lines follow an insertion")
rows[5][3] = 2099
write_csv(rows)
report = index("csv", "data.csv", "--input-format", "csv")
check(counts(report) == {"total": 200, "changed": 1, "unchanged": 199} and report["chunks"]["embedded"] == 0, f"csv: metadata: {report}")
check(counts(index("csv", "data.csv", "--input-format", "csv", "--dry-run", "--force"))["total"] == 200, "csv: dry run")

# ---- What is wrong is named, and the rest goes on ----
with open(folder / "data.csv", "a") as file:
    file.write('r3,twice,x,1\nr900,too,many,fields,here\nr901,blank,"  ",1\nr902,good,the last good one,1\nr903,"open')
report = index("csv", "data.csv", "--input-format", "csv", ok=(3,))
reasons = [problem["reason"] for problem in report["failed"]]
total = len((folder / "data.csv").read_text().split("\n"))
check(len(reasons) == 3 and f"line {total - 4}: the id r3 is given twice" in reasons and
      f"line {total - 3}: 5 fields, but the header has 4" in reasons and f"line {total}: the file ends inside a quoted field" in reasons, reasons)
check([(one["document"], one["reason"]) for one in report["skipped"]] == [("data.csv/r901", f"line {total - 2}: empty file")], report["skipped"])
check(counts(report) == {"total": 205, "added": 1, "unchanged": 200, "skipped": 1, "failed": 3}, f"csv: damaged: {report['documents']}")
again = index("csv", "data.csv", "--input-format", "csv", ok=(3,))
check(counts(again)["unchanged"] == 201 and counts(again)["failed"] == 3, f"csv: a damaged file is tried again: {again['documents']}")
check(json.loads(run("status", "-c", "csv", "--json").stdout)["collections"][0]["documents"] >= 201, "csv: status")
write_csv(rows)
(folder / "cut.csv.gz").write_bytes(gzip.compress((folder / "data.csv").read_bytes()))
check(counts(index("gz", "cut.csv.gz", "--input-format", "csv")) == {"total": 200, "added": 200}, "gz")
whole = (folder / "cut.csv.gz").read_bytes()
(folder / "cut.csv.gz").write_bytes(whole[:len(whole) // 2])
report = index("gz", "cut.csv.gz", "--input-format", "csv", ok=(3,))
check("removed" not in counts(report) and report["failed"], f"gz: what stood behind the damage is not taken out: {report['documents']}")
report = index("gz", "data.csv", "--input-format", "csv", "--text-column", "body", ok=(3,))
check("no column 'body'" in report["failed"][0]["reason"], report["failed"])

# ---- The other forms ----
write_csv([["1", "T", "tabs stand between\tfields", "1"]], "tabs.tsv", "excel-tab")
index("tsv", "tabs.tsv", "--input-format", "csv")
hit("tsv", "tabs", "tabs.tsv/1")
(folder / "excel.csv").write_bytes('\ufeff"id";"text";"price"\r\n7;"semicolons; and ""quotes"", too";3,5\r\n'.encode())
index("excel", "excel.csv", "--input-format", "csv")
check(hit("excel", "semicolons", "excel.csv/7")["metadata"]["price"] == "3,5", "csv: semicolons, and a byte order mark before a quote")
done = run("index", "excel.csv", "-c", "text", "-m", "fake:a")
check("excel.csv: read as one text; --input-format csv --text-column NAME makes" in done.stderr, f"csv as text: {done.stderr}")
check("read as" not in run("index", "excel.csv", "-c", "excel", "--input-format", "csv", "-v", "--force").stderr, "csv as records: a note")
(folder / "wide.csv").write_bytes("id,text\n1,x\n".encode("utf-16"))
report = index("wide", "wide.csv", "--input-format", "csv", ok=(3,))
check("UTF-16" in report["failed"][0]["reason"], report["failed"])
with open(folder / "data.jsonl", "w") as file:
    for row in rows[1:50]:
        file.write(json.dumps({"key": row[0], "body": row[2], "metadata": {"year": row[3]}, "tags": ["a", "b"]}) + "\n")
    file.write('{"key": "x"}\nno json\n')
report = index("jsonl", "data.jsonl", "--input-format", "jsonl", "--text-column", "body", "--id-column", "key", ok=(3,))
check(counts(report) == {"total": 51, "added": 49, "failed": 2}, f"jsonl: {report}")
check(["line 50: there is no member body" in report["failed"][0]["reason"], "line 51" in report["failed"][1]["reason"]] == [True, True], report["failed"])
check(hit("jsonl", "word9", "data.jsonl/r9")["metadata"] == {"key": "r9", "media_type": "text/plain", "source_line": 9, "tags": ["a", "b"], "year": 1999},
      f"jsonl: {hit('jsonl', 'word9', 'data.jsonl/r9')}")
(folder / "data.json").write_text(json.dumps(["only a text", {"id": 7, "text": "an object"}]))
index("json", "data.json", "--input-format", "json")
check({one["document"] for one in search("json", "text object")} == {"data.json/1", "data.json/7"}, "json")

database = sqlite3.connect(folder / "data.db")
database.execute("CREATE TABLE note(id INTEGER, body TEXT, year INTEGER)")
database.executemany("INSERT INTO note VALUES(?, ?, ?)", [(i, f"word{i} in a row", 1990 + i) for i in range(1, 51)] + [(99, None, 1)])
database.commit()
query = "SELECT id, body AS text, year FROM note"
report = index("sql", "data.db", "--sql", query, ok=(3,))
check(counts(report) == {"total": 51, "added": 50, "failed": 1} and report["failed"][0]["reason"] == "row 51: the text is NULL", f"sql: {report}")
database.execute("DELETE FROM note WHERE id = 99 OR id = 5")
database.execute("UPDATE note SET body = 'changed' WHERE id = 6")
database.commit()
report = index("sql", "data.db", "--sql", query)
check(counts(report) == {"total": 49, "changed": 1, "removed": 1, "unchanged": 48} and report["chunks"]["embedded"] == 1, f"sql: {report}")
check(hit("sql", "word7", "data.db/7", "--filter", "year>1996")["metadata"]["year"] == 1997, "sql: metadata")
for wrong, why in (("DELETE FROM note", "does not only read"), ("SELECT 1; SELECT 2", "not one statement"), ("SELECT id FROM note", "no column 'text'"),
                   ("nonsense", "syntax error"), ("SELECT load_extension('x') AS text", "not authorized")):
    report = index("wrong", "data.db", "--sql", wrong, ok=(3,))
    check(why in report["failed"][0]["reason"], f"{wrong}: {report['failed']}")
check(run("index", "data.db", "--sql", query, "--input-format", "csv", ok=(2,)).returncode == 2, "--sql with --input-format")

# ---- A mailbox in a folder; folders of records ----
box = folder / "mail"
box.mkdir()
letters = [f"From a@b.c Mon Jan  1 00:00:00 2001\nMessage-ID: <m{i}@x.y>\nFrom: Ada Example <ada{i % 2}@x.y>\nTo: bo@x.y\nSubject: Letter {i}\n"
           f"Date: Tue, 1 Jul 2003 10:52:37 +0200\n\nword{i} is in it.\n\n" for i in range(20)]
(box / "in.mbox").write_text("".join(letters))
(box / "other.txt").write_text("a file beside it")
check(counts(index("mail", box)) == {"total": 21, "added": 21}, "mail")
found = hit("mail", "word7", "in.mbox/m7@x.y", "--filter", "from='Ada Example <ada1@x.y>'")["metadata"]
check([found.get(key) for key in ("title", "author", "date", "to", "source_line")] == ["Letter 7", "Ada Example", "2003-07-01", "bo@x.y", 68], f"mail: {found}")
(box / "in.mbox").write_text("".join(letters[3:]))
check(counts(index("mail", box)) == {"total": 18, "removed": 3, "unchanged": 18}, "mail: messages are taken out")
check(json.loads(run("remove", box / "in.mbox", "-c", "mail", "--json").stdout)["removed"] == 17, "mail: remove")
copies = [letters[1], letters[2].replace("m2@", "m1@"), letters[3].replace("word3 is", "From now at 10:30 on,\nword3 is"), letters[1]]
(box / "in.mbox").write_text("".join(copies).replace("\n\nFrom now", "\n\nA line.\n\nFrom now"))
check(counts(index("copies", box / "in.mbox")) == {"total": 4, "added": 4}, "mail: two messages of one id")
hit("copies", "word2", "in.mbox/m1@x.y#2")
hit("copies", "now at 10:30", "in.mbox/m3@x.y")
found = {one["document"] for one in search("copies", "word1", "--keep-duplicates")}
check({"in.mbox/m1@x.y", "in.mbox/m1@x.y#4"} <= found, f"mail: the copy is there too: {found}")
report = index("folder", folder, "--input-format", "jsonl", "--text-column", "body", "--id-column", "key", ok=(3,))
check(counts(report)["added"] == 49 and any(one["reason"] == "no .jsonl file" for one in report["skipped"]), f"folder: {report['documents']}")

# ---- Random edits: the collection is always what the file says, and only what is new is embedded ----
generator = random.Random(5)
state = {f"k{i}": f"text {i} {generator.random()}" for i in range(60)}
for step in range(12):
    before = dict(state)
    for _ in range(generator.randrange(1, 6)):
        choice, key = generator.randrange(3), generator.choice(sorted(state))
        if choice == 0:
            state[key] = f"text {step} {generator.random()}"
        elif choice == 1:
            del state[key]
        else:
            state[f"n{step}-{generator.randrange(1000)}"] = f"text {generator.random()}"
    keys = sorted(state)
    generator.shuffle(keys)
    (folder / "random.jsonl").write_text("".join(json.dumps({"id": key, "text": state[key]}) + "\n" for key in keys))
    report = index("random", "random.jsonl", "--input-format", "jsonl")
    new = {text for key, text in state.items() if before.get(key) != text} if step else set(state.values())
    check(report["chunks"]["embedded"] == len(new), f"step {step}: {report['chunks']}, not {len(new)}")
    exported = run("collections", "export", "random", "--format", "jsonl", "-o", f"random-{step}.jsonl").returncode == 0
    stored = {row["document"].split("/", 1)[1]: row["text"] for row in map(json.loads, (folder / f"random-{step}.jsonl").read_text().splitlines())}
    check(exported and stored == state, f"step {step}: the collection is not the file")

print(f"{len(problems)} problems")
sys.exit(1 if problems else 0)
