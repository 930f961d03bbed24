#!/usr/bin/env python3
"""What the readers of documents make of them: text, headings, pages, words about them; round trips; damaged and hostile files cost one
document each, in bounded time, and are named. Usage: test_readers.py SEXTANT"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import make_documents

sextant = pathlib.Path(sys.argv[1]).resolve()
folder = pathlib.Path(tempfile.mkdtemp(prefix="sextant-documents-"))
environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
problems = []


def check(condition, what):
    if not condition:
        problems.append(what)
        print("FAILED:", what, flush=True)


def run(*arguments, ok=(0,)):
    done = subprocess.run([sextant, *map(str, arguments)], env=environment, cwd=folder, capture_output=True, text=True, timeout=280)
    if done.returncode not in ok:
        check(False, f"{arguments}: exit {done.returncode}: {done.stderr}")
    return done


def chunk(path):
    """The document as `sextant chunk` sees it, or None; every chunk is a range of the text."""
    done = run("chunk", path, "-m", "fake:a", "--json", ok=(0, 1))
    check(done.returncode in (0, 1), f"{path.name}: exit {done.returncode} {done.stderr}")
    if done.returncode:
        return None
    document = json.loads(done.stdout)
    text = document["text"].encode("utf-8", "surrogatepass")
    for one in document["chunks"]:
        check(text[one["start"]:one["end"]].decode() == one["text"], f"{path.name}: chunk {one['index']} is not its range of the text")
        lines = text[:one["start"]].count(b"\n") + 1
        check(one["start_line"] == lines, f"{path.name}: chunk {one['index']} begins on line {lines}, not {one['start_line']}")
    return document


def index(inside, db):
    return json.loads(run("index", inside, "-m", "fake:a", "--db", db, "--json", ok=(0, 1, 3, 4)).stdout)


def search(words, db, *options):
    return json.loads(run("search", words, "--db", db, "--mode", "keyword", "--json", *options).stdout)["hits"]


good = folder / "good"
good.mkdir()
make_documents.make_all(good)
texts = {path.name: chunk(path) for path in sorted(good.iterdir())}
expected = {
    "columns.pdf": (["gamma is a word of this column\n", "tangerines and (brackets)."], ["tanger-"]),
    "bees.docx": (["Bees in town\n\nThey live on roofs.\n\nBelow\n\ncell one | cell two", "A foot note."], ["struck"]),
    "moved.docx": (["Moved\n\nshown\n\nUnder it."], ["hidden"]),
    "chapters.epub": (["First.\n\nSecond."], ["nonsense"]),
    "hives.odt": (["Hives\n\nOne  two (A note.) three\n\n- first\n\na | b"], []),
    "book.epub": (["Chapter 1\n\nErster Satz.\n\nChapter 2\n\nZweiter Satz."], []),
    "cooling.ipynb": (["# Cooling\nNewton's law.", "x = 1\nprint(x)", "as it is"], ["hidden output"]),
    "letter.eml": (["Caf\u00e9 plan\n\nFrom: Ada Example <ada@example.org>", "see you there.\nAda"], ["<b>", "attached words"]),
    "parcel.eml": (["A parcel\n\nFrom: ada@example.org\n\nAll of it is attached.\n\ncolumns.pdf\n\nTwo columns", "\n\nbees.docx\n\nBees in town\n\nThey"],
                   ["see you", "scanned.pdf"]),
    "letters.rtf": (["Heading one\n\nCaf\u00e9 \u041f\u0440\u0438\u0432\u0435\u0442 \u65e5\u672c \u20ac {braces} (A note.) end\n\na | b\n\nBelow\n\nIn a box"],
                    ["gone", "page head", "hidden", "Arial", "Normal", "shapeType", "202"]),
}
for name, (present, absent) in expected.items():
    document = texts[name]
    check(document is not None, f"{name}: not read")
    for words in present if document else []:
        check(words in document["text"], f"{name}: without {words!r}: {document['text']!r}")
    for words in absent if document else []:
        check(words not in document["text"], f"{name}: with {words!r}")
if texts["columns.pdf"]:
    text = texts["columns.pdf"]["text"]
    check(text.index("gamma") < text.index("delta"), "columns.pdf: the columns are read across")
    check(texts["columns.pdf"]["title"] == "Fruit", "columns.pdf: title")

report = index(good, "good.db")
check(report["documents"]["added"] == len(expected), f"added: {report}")
check(any(p["document"] == "scanned.pdf" and "without a text layer" in p["reason"] for p in report["skipped"]), f"scanned.pdf: {report}")
check(any(p["document"] == "columns.pdf" and "page 2 has no text" in p["reason"] for p in report["notes"]), f"notes: {report['notes']}")
check(any(p["document"] == "chapters.epub" and p["reason"] == "1 chapter is encrypted; 1 chapter is not in the file (gone.xhtml)"
          for p in report["notes"]), f"notes: {report['notes']}")
small = json.loads(run("chunk", good / "letters.rtf", "-m", "fake:a", "--chunk-size", "6", "--json").stdout)["chunks"]
check([one["headings"] for one in small if "a box" in one["text"]] == [["Heading one", "Below"]], f"letters.rtf: a heading by its style: {small}")
check(any(p["document"] == "parcel.eml" and p["reason"] == "2 attachments are not read: letter.eml (application/octet-stream), scanned.pdf "
          "(PDF without a text layer (2 pages, scanned or drawn))" for p in report["notes"]), f"notes: {report['notes']}")
about = {"parcel.eml": ("live on roofs", {"title": "A parcel", "attachments": "columns.pdf, bees.docx, letter.eml, scanned.pdf"}),
         "columns.pdf": ("tangerines", {"title": "Fruit", "author": "Ada Example", "date": "2020-01-02", "page": 3, "pages": 3}),
         "bees.docx": ("roofs", {"title": "Bees", "author": "Ada Example", "date": "2021-05-06"}),
         "hives.odt": ("hives", {"title": "Odt title", "author": "Ada"}),
         "book.epub": ("Zweiter", {"title": "A book", "author": "Ada Example", "date": "2019-01-02", "language": "de"}),
         "cooling.ipynb": ("Newton", {"title": "Cooling", "language": "python"}),
         "letter.eml": ("see you", {"title": "Caf\u00e9 plan", "author": "Ada Example", "date": "2003-07-01", "to": "bo@example.org",
                                    "from": "Ada Example <ada@example.org>", "attachments": "plan.pdf"}),
         "letters.rtf": ("braces", {"title": "Letters", "author": "Ada Example", "date": "2018-03-04"})}
for name, (words, metadata) in about.items():
    hits = [hit for hit in search(words, "good.db") if hit["document"] == name]
    check(bool(hits), f"{name}: {words} is not found")
    for key, value in metadata.items() if hits else []:
        found = hits[0]["metadata"].get(key)
        if key == "page" and "last_page" in hits[0]["metadata"]:
            check(hits[0]["metadata"]["last_page"] == value, f"{name}: last_page {hits[0]['metadata']}")
        else:
            check(found == value, f"{name}: {key} is {found!r}, not {value!r}")
for condition, names in (("page=3", {"columns.pdf"}), ("page>=3 and author=Ada Example", {"columns.pdf"}), ("page=9", set()), ("page>3", set()),
                         ("heading=Hives", {"hives.odt"}), ("file~*.pdf and not page=3", set())):
    hits = {hit["document"] for hit in search("tangerines hives", "good.db", "--filter", condition, "-n", "50")}
    check(hits == names, f"{condition}: finds {hits}")
check(index(good, "good.db")["documents"]["unchanged"] == len(expected), "a second run reads again")

hostile = folder / "hostile"
hostile.mkdir()
make_documents.make_hostile(hostile)
(hostile / "z-good.txt").write_text("the job goes on")
began = time.monotonic()
report = index(hostile, "hostile.db")
seconds = time.monotonic() - began
check(seconds < 120, f"hostile files took {seconds:.0f} s")
reasons = {p["document"]: p["reason"] for p in report["skipped"] + report["failed"]}
named = {"cut.pdf": "damaged PDF", "zip-bomb.docx": "256 MiB", "entities.docx": "entities", "nested.docx": "nests more than 256",
         "groups.rtf": "nests more than", "not.docx": "damaged", "deep.ipynb": "damaged notebook",
         "locked.epub": "encrypted EPUB"}
mail = {"nested.eml": "nested more than 32", "parts.eml": "of more than 10000 parts",
        "bombs.eml": "3 attachments are not read: zip-bomb.docx (Word document"}
for name, words in mail.items():
    check(any(p["document"] == name and words in p["reason"] for p in report["notes"]), f"{name}: {report['notes']}")
for name, words in named.items():
    check(words in reasons.get(name, ""), f"{name}: {reasons.get(name)!r} does not say {words!r}")
check(any(p["document"] == "outside.epub" and "evil.xhtml" in p["reason"] for p in report["notes"]), f"outside.epub: {report['notes']}")
check(not [hit for hit in search("evil", "hostile.db") if hit["document"] == "outside.epub"], "outside.epub: evil words are indexed")
check([hit["document"] for hit in search("goes on", "hostile.db")] == ["z-good.txt"], "the job does not go on")
check({hit["document"] for hit in search("heading", "hostile.db")} >= {"header.eml"}, "header.eml: its text is not found")
read = {hit["document"] for hit in search("deep tail inside", "hostile.db")}
check({"cyclic.pdf", "outside.epub"} <= read | set(reasons), f"cyclic.pdf or outside.epub: neither read nor named: {read} {reasons}")

# Mutations: whatever comes of them, one document each and no crash; what is read is round.
mutated = folder / "mutated"
mutated.mkdir()
generator = random.Random(9)
for path in sorted(good.iterdir()):
    data = path.read_bytes()
    for number in range(4):
        changed = bytearray(data)
        for _ in range(generator.choice([1, 3, 20])):
            changed[generator.randrange(len(changed))] = generator.randrange(256)
        if number == 3:
            del changed[generator.randrange(len(changed)):]
        (mutated / f"{number}-{path.name}").write_bytes(changed)
report = index(mutated, "mutated.db")
count = report["documents"]
check(count["added"] + count["skipped"] + count["failed"] == count["total"] == 4 * len(texts), f"mutated: {count}")
for path in sorted(mutated.iterdir())[::5]:
    chunk(path)

print(f"{len(expected)} kinds, {len(named) + 5} hostile files in {seconds:.1f} s, {count['total']} mutated: {len(problems)} problems")
sys.exit(1 if problems else 0)
