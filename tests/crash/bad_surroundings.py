#!/usr/bin/env python3
"""bad_surroundings.py --sextant PATH [CASE...]: full disks, folders nobody may write, damaged models, hostile files, wrong databases.

Each case is a function; what it runs must end in time, by itself, with the exit code docs and --help give and, when that is not 0, a
line `sextant: ...` that names the thing. What a machine does not allow is passed over by name (Skip)."""
import argparse
import json
import os
import resource
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import time

from crash_tools import BERT, COMPLAINTS, Done, Program, Scratch, Tree, check_database, fail, rows, same_exports

FAKE = "fake:surroundings?max_length=64"
NOBODY = 65534


class Skip(Exception):
    pass


def expect(done, code, *names):
    """The exit code, and an error line with every one of names in it when it is not 0."""
    codes = code if isinstance(code, tuple) else (code,)
    if done.code not in codes:
        fail("expected exit %s: %s" % (code, done))
    if COMPLAINTS.search(done.out + done.err):
        fail("complains: %s" % done)
    lines = [line for line in done.err.decode("utf-8", "replace").splitlines() if line.startswith("sextant: ")]
    if done.code in (1, 2) and not lines:
        fail("no line `sextant: ...`: %s" % done)
    for name in names:
        if not any(name in line for line in lines):
            fail("no error line names %r: %s" % (name, done))
    return done


def report_of(done):
    return json.loads(done.out.splitlines()[-1])


class Case:
    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch
        self.db = os.path.join(scratch, "case.db")

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def index(self, *arguments, db=None, model=FAKE, **options):
        return self.program.run("index", *arguments, "--db", db or self.db, "-m", model, "--json", **options)

    def as_nobody(self):
        if os.getuid() != 0:
            return {}
        if self.program.run("version", user=NOBODY, group=NOBODY, extra_groups=[], cwd="/").code != 0:
            raise Skip("user nobody cannot run the program where it lies")
        return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}

    def documents(self, count=60):
        tree = Tree(self.path("docs"), 7)
        tree.add(count)
        return tree

    def undisturbed(self, tree):
        expect(self.index(tree.folder, db=self.path("calm.db")), 0)
        return self.program.export(self.path("calm.db"), "default")

    def completes(self, tree, want, db=None):
        """After the trouble is over the same command completes, and nothing was lost or made twice."""
        expect(self.index(tree.folder, db=db), 0)
        same_exports("after the trouble", self.program.export(db or self.db, "default"), want)
        check_database(db or self.db, "after the trouble")

    def model(self):
        return shutil.copytree(BERT, self.path("model"))


# ---- Disks ----

def full_disk(case):
    """A small file system fills at many points; then there is room."""
    tree = case.documents(150)
    want = case.undisturbed(tree)
    place = case.path("disk")
    os.mkdir(place)
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True).returncode:
        raise Skip("no file system can be mounted here")
    try:
        db, full = os.path.join(place, "small.db"), 0
        for size in list(range(64, 1600, 64)):
            subprocess.run(["mount", "-o", "remount,size=%dk" % size, place], check=True)
            done = case.index(tree.folder, db=db)
            if done.code == 0:
                break
            expect(done, 1, "small.db")
            if b"full" not in done.err and b"No space" not in done.err:
                fail("a full disk is not called so: %s" % done)
            full += 1
            copy = case.path("copy.db")
            for end in ("", "-wal", "-journal"):
                if os.path.exists(db + end):
                    shutil.copyfile(db + end, copy + end)
            if os.path.exists(copy):
                check_database(copy, "on a disk of %d KiB" % size)
                for end in ("", "-wal", "-shm", "-journal"):
                    if os.path.exists(copy + end):
                        os.unlink(copy + end)
        if full < 3:
            fail("the disk was full only %d times" % full)
        subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
        case.completes(tree, want, db)
        print("  %d times full" % full)
    finally:
        subprocess.run(["umount", place], check=False)


def file_size_limit(case):
    """As a full disk, where nothing can be mounted; a write beyond the limit fails and SIGXFSZ ends the program unless ignored."""
    tree = case.documents(150)
    want = case.undisturbed(tree)
    failed = 0
    for size in (0, 4096, 50000, 100000, 200000, 300000):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        done = case.index(tree.folder, preexec_fn=limit)
        if done.code != 0:
            failed += 1
            expect(done, 1, "case.db")
    if not failed:
        fail("no limit was met")
    case.completes(tree, want)


def full_output(case):
    """Results that cannot be written are an error, not silence."""
    tree = case.documents(20)
    expect(case.index(tree.folder), 0)
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    for verb in (["search", "tide"], ["status"], ["collections", "export", "default", "--format", "jsonl", "-o", "-"],
                 ["embed", "-m", FAKE, "tide"]):
        with open("/dev/full", "wb") as sink:
            done = subprocess.run([case.program.path, *verb, "--db", case.db], stdout=sink, stderr=subprocess.PIPE, timeout=60,
                                  env=case.program.environment, cwd=case.scratch)
        expect(Done(done.returncode, b"", done.stderr), 1)
    done = case.program.run("backup", "/dev/full", "--db", case.db)
    expect(done, 1, "/dev/full")


# ---- Permissions ----

def read_only_folder(case):
    tree = case.documents(10)
    place = case.path("sealed")
    os.mkdir(place, 0o555)
    expect(case.index(tree.folder, db=os.path.join(place, "x.db"), **case.as_nobody()), 1, "x.db")
    if os.listdir(place):
        fail("something was written into a folder that is read-only: %r" % os.listdir(place))


def read_only_database(case):
    tree = case.documents(10)
    want = case.undisturbed(tree)
    expect(case.index(tree.folder), 0)
    os.chmod(case.db, 0o444)
    os.chmod(case.scratch, 0o755)
    tree.change(3, kinds=("edit",))
    expect(case.index(tree.folder, **case.as_nobody()), 1, "case.db")
    for verb in (["search", "tide"], ["status"]):
        done = case.program.run(*verb, "--db", case.db, **case.as_nobody())
        expect(done, (0, 1), *(["case.db"] if done.code else []))
    same_exports("a read-only database", case.program.export(case.db, "default"), want)


def read_only_file_system(case):
    tree = case.documents(10)
    place = case.path("disk")
    os.mkdir(place)
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True).returncode:
        raise Skip("no file system can be mounted here")
    try:
        db = os.path.join(place, "x.db")
        expect(case.index(tree.folder, db=db), 0)
        want = case.program.export(db, "default")
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        expect(case.index(tree.folder, db=db), 1, "x.db")
        done = case.program.run("search", "tide", "--db", db)
        expect(done, (0, 1), *(["x.db"] if done.code else []))
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        same_exports("after a read-only file system", case.program.export(db, "default"), want)
    finally:
        subprocess.run(["umount", place], check=False)


def unreadable_documents(case):
    """A folder and a file that cannot be read are named (exit 3), and what was known of them stays."""
    tree = case.documents(0)
    for name in ("open.txt", "closed/kept.txt", "shut.txt"):
        tree.write(name, "words of %s\n" % name)
    data = case.path("data")
    os.mkdir(data)
    os.chmod(data, 0o777)
    db = os.path.join(data, "x.db")
    options = case.as_nobody()
    expect(case.index(tree.folder, db=db, **options), 0)
    os.chmod(os.path.join(tree.folder, "closed"), 0)
    os.chmod(os.path.join(tree.folder, "shut.txt"), 0)
    os.utime(os.path.join(tree.folder, "shut.txt"))
    done = expect(case.index(tree.folder, db=db, **options), 3)
    failed = {item["document"] for item in report_of(done)["failed"]}
    if failed != {"closed", "shut.txt"} and failed != {"closed/", "shut.txt"}:
        fail("failed: %r" % failed)
    kept = {row[0] for row in rows(db, "SELECT path FROM document JOIN chunk ON chunk.document = document.id")}
    if kept != {"open.txt", "closed/kept.txt", "shut.txt"}:
        fail("kept: %r" % kept)


def no_home(case):
    """Without HOME the user's entry says where it is; nobody's does not exist, which is named."""
    if os.getuid() != 0:
        raise Skip("needs root, to be a user without a home")
    tree = case.documents(3)
    bare = {k: v for k, v in case.program.environment.items() if k != "HOME"}
    options = case.as_nobody()
    expect(case.program.run("index", tree.folder, "-m", FAKE, env=bare, **options), 1, "/")
    expect(case.program.run("status", env=bare, **options), (0, 1))
    expect(case.program.run("embed", "--no-cache", "-m", "minilm", "tide", env=bare, **options), 1, "minilm")


def database_removed(case):
    """The file goes while the program writes to it; it ends, and a new run makes a new one."""
    tree = case.documents(60)
    want = case.undisturbed(tree)
    for pause in (0.02, 0.08, 0.2):
        child = case.program.start("index", tree.folder, "--db", case.db, "-m", FAKE + "&slow_ms=20", "--json")
        time.sleep(pause)
        for end in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(case.db + end):
                os.unlink(case.db + end)
        try:
            out, err = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            fail("hangs when its database goes")
        done = Done(child.returncode, out, err)
        expect(done, (0, 1), *(["case.db"] if done.code else []))
    case.completes(tree, want)


# ---- Models ----

def missing_model(case):
    tree = case.documents(2)
    for name in ("nowhere/model", "no-such-model"):
        expect(case.index(tree.folder, model=case.path(name)), 1, name)
    expect(case.index(tree.folder, model="no-such-alias"), 1, "no-such-alias")
    os.mkdir(case.path("empty"))
    expect(case.index(tree.folder, model=case.path("empty")), 1, "empty")


def missing_model_files(case):
    tree = case.documents(2)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        folder = case.model()
        os.unlink(os.path.join(folder, name))
        expect(case.index(tree.folder, model=folder), 1, name.split(".")[0])
        shutil.rmtree(folder)


def truncated_weights(case):
    tree = case.documents(2)
    folder = case.model()
    weights = os.path.join(folder, "model.safetensors")
    whole = open(weights, "rb").read()
    for length in (0, 1, 7, 8, 9, 100, 5000, len(whole) // 2, len(whole) - 1):
        with open(weights, "wb") as file:
            file.write(whole[:length])
        expect(case.index(tree.folder, model=folder), 1, "model.safetensors")
    for header in (0, 2 ** 63 - 1, 2 ** 64 - 1, len(whole)):
        with open(weights, "wb") as file:
            file.write(struct.pack("<Q", header) + whole[8:])
        expect(case.index(tree.folder, model=folder), 1, "model.safetensors")


def wrong_weights(case):
    """A type the program does not compute with, or a shape that disagrees with the configuration."""
    tree = case.documents(2)
    folder = case.model()
    weights = os.path.join(folder, "model.safetensors")
    whole = open(weights, "rb").read()
    length = struct.unpack("<Q", whole[:8])[0]
    for change in ("dtype", "shape", "missing"):
        header = json.loads(whole[8:8 + length])
        name = next(n for n in header if n.endswith("word_embeddings.weight"))
        if change == "dtype":
            header[name]["dtype"] = "I32"
        elif change == "shape":
            header[name]["shape"] = [header[name]["shape"][0] * 2, header[name]["shape"][1] // 2]
        else:
            header["other"] = header.pop(name)
        text = json.dumps(header).encode()
        with open(weights, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + whole[8 + length:])
        expect(case.index(tree.folder, model=folder), 1, "word_embeddings.weight")


def broken_tokenizer(case):
    tree = case.documents(2)
    folder = case.model()
    path = os.path.join(folder, "tokenizer.json")
    whole = json.load(open(path))
    without = json.loads(json.dumps(whole))
    del without["model"]["vocab"]
    for text in (json.dumps(without), "", "{", "[]", "null", json.dumps(whole)[:5000], '{"model": 3}', "\0" * 100, "[" * 100000):
        with open(path, "w") as file:
            file.write(text)
        expect(case.index(tree.folder, model=folder), 1, "tokenizer.json")


def other_model(case):
    """A collection keeps its model."""
    tree = case.documents(5)
    expect(case.index(tree.folder), 0)
    want = case.program.export(case.db, "default")
    expect(case.index(tree.folder, model="fake:another"), 1, "default")
    expect(case.index(tree.folder, model=BERT), 1, "default")
    same_exports("after another model was refused", case.program.export(case.db, "default"), want)


# ---- Files ----

def hostile_files(case):
    """Each file of the tree is indexed, or named as skipped or failed with a reason; the good ones among them are there."""
    docs = case.path("docs")
    content = {"good.md": "# Good\n\nThis one is fine.\n", "invalid.txt": b"caf\xe9 \xff\xfe\xc0\xaf \xed\xa0\x80 words\n",
               "cut.txt": "words and words é".encode()[:-1], "nul.txt": b"some text\0with\0NUL\0bytes\n" * 50,
               "binary.txt": os.urandom(20000), "elf.txt": b"\x7fELF\x02\x01\x01" + bytes(500), "empty.txt": b"", "blank.md": b" \n\t\n ",
               "bom.txt": b"\xef\xbb\xbfwith a mark\n", "utf16.txt": "wide words\n".encode("utf-16"), "marks.txt": "e" + "\u0301" * 50000,
               "deep.md": ">" * 50000 + " deep\n" + "- " * 20000, "deep.html": "<div>" * 50000 + "text", "fence.md": "```\n" * 30001,
               "columns.md": "|" * 100000 + "\n" + "|-" * 50000, "newline\n.txt": "a name of two lines\n",
               "dash/-rf": "named as an option\n", "odd\\name'\".txt": "quotes\n", "cr.txt": "old\rlines\rof\rtext\r",
               "x" * 240 + ".txt": "a long name\n", "zeros.txt": bytes(10 ** 6), "control.txt": bytes(range(1, 32)) * 20,
               "brackets.md": "[" * 60000 + "](" * 60000, "page.html": "<!DOCTYPE html><p>unclosed <b>bold &#xFFFFFFFF; &bogus; <"}
    for name, text in content.items():
        case.write(os.path.join("docs", name), text)
    case.write(b"docs/latin-\xe9.txt".decode("utf-8", "surrogateescape"), "a name that is not UTF-8\n")
    count = len(content) + 1
    os.symlink(".", os.path.join(docs, "loop"))
    os.symlink("second", os.path.join(docs, "first"))
    os.symlink("first", os.path.join(docs, "second"))
    os.symlink("nowhere", os.path.join(docs, "dangling"))
    os.symlink("/", os.path.join(docs, "root"))
    os.mkfifo(os.path.join(docs, "pipe.txt"))
    here = os.getcwd()
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(docs)
        listener.bind("socket.txt")
    finally:
        os.chdir(here)
        listener.close()
    done = expect(case.index(docs, within=60), (0, 3))
    report = report_of(done)
    accounted = report["documents"]
    reasons = {item["document"]: item["reason"] for item in report["failed"] + report["skipped"]}
    if not all(reasons.values()):
        fail("a reason is missing: %r" % reasons)
    stored = {row[0] for row in rows(case.db, "SELECT DISTINCT path FROM document JOIN chunk ON chunk.document = document.id")}
    for name in ("good.md", "bom.txt", "utf16.txt", "cr.txt", "newline\n.txt", "x" * 240 + ".txt"):
        if name not in stored:
            fail("%r is not indexed: %r" % (name, reasons.get(name)))
    for name in ("nul.txt", "binary.txt", "elf.txt", "empty.txt", "blank.md", "zeros.txt", "pipe.txt", "socket.txt"):
        if name not in reasons or name in stored:
            fail("%r is not named: %r" % (name, reasons))
    lost = [name for name in content if name not in stored and name not in reasons]
    if lost or accounted["added"] + accounted["skipped"] + accounted["failed"] != accounted["total"] or accounted["total"] < count:
        fail("lost: %r; %r" % (lost, accounted))
    # The same again: nothing is embedded, nothing changes its mind.
    second = report_of(expect(case.index(docs, within=60), (0, 3)))
    if second["chunks"]["embedded"] or second["documents"]["added"] or second["documents"]["removed"]:
        fail("a second run: %r" % second)
    # Whatever a file is called, what is printed is JSON in UTF-8, and an import takes back what an export gave.
    json.loads(case.program.must("search", "fine", "--db", case.db, "--json", "-n", "1000").out.decode())
    exported = case.program.export(case.db, "default")
    for line in exported.decode().splitlines():
        json.loads(line)
    case.write("all.jsonl", exported)
    case.program.must("collections", "import", "again", case.path("all.jsonl"), "--db", case.db)


def special_paths(case):
    """A pipe or a device given by name, and a database that is one, do not hang."""
    case.documents(1)
    os.mkfifo(case.path("pipe"))
    for path in (case.path("pipe"), "/dev/zero"):
        report = report_of(expect(case.index(path), 0))
        if report["documents"]["skipped"] != 1 or not report["skipped"][0]["reason"]:
            fail("%s is not reported as skipped: %r" % (path, report))
    expect(case.index(case.path("nowhere")), 1, "nowhere")
    os.mkdir(case.path("hollow"))
    expect(case.index(case.path("hollow")), 1, "hollow")
    expect(case.index(case.path("docs"), db=case.path("pipe")), 1, "pipe")
    expect(case.index(case.path("docs"), db="/dev/null"), 1, "/dev/null")
    expect(case.index(case.path("docs"), db=case.path("hollow")), 1, "hollow")


def long_line(case):
    """100 MB without a line break, in bounded time."""
    path = case.write("docs/line.txt", b"silver thunder over the orchard ; " * 3_000_000)
    began = time.monotonic()
    done = expect(case.index(path, within=100, model=FAKE.replace("64", "512")), (0, 3))
    report = report_of(done)
    if report["chunks"]["total"] < 30000 and not report["failed"]:
        fail("a line of 100 MB gives %r" % report)
    print("  %.1f s" % (time.monotonic() - began))


# ---- Databases ----

def wrong_databases(case):
    """What is no database of ours is refused, named, and left as it was."""
    tree = case.documents(3)
    expect(case.index(tree.folder), 0)
    want = case.program.export(case.db, "default")
    text = case.write("text.db", "hello, I am no database\n" * 100)
    short = case.write("short.db", "x")
    other = case.path("other.db")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE things(name TEXT)")
        connection.execute("INSERT INTO things VALUES ('precious')")
    connection.close()
    newer = shutil.copyfile(case.db, case.path("newer.db"))
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    header = case.write("header.db", b"SQLite format 3\0" + bytes(84))
    for path in (text, short, other, newer, header):
        with open(path, "rb") as file:
            before = file.read()
        name = os.path.basename(path)
        for verb in (["index", tree.folder, "-m", FAKE], ["search", "tide"], ["status"], ["backup", case.path("copy.db")],
                     ["collections", "list"]):
            expect(case.program.run(*verb, "--db", path), 1, name)
        expect(case.program.run("restore", path, "--db", case.db, "--force"), 1, name)
        with open(path, "rb") as file:
            if file.read() != before:
                fail("%s was changed" % name)
    if os.path.exists(case.path("copy.db")):
        fail("a backup of no database was left")
    expect(case.program.run("status", "--db", case.path("none.db")), 1, "none.db")
    same_exports("after wrong databases", case.program.export(case.db, "default"), want)


def killed_in_a_transaction(case):
    """A file with a journal to be rolled back: empty before (as when the program is killed while it makes it), or of another program."""
    tree = case.documents(3)
    want = case.undisturbed(tree)
    for name in ("empty.db", "other.db"):
        live, path = case.path("live-" + name), case.path(name)
        connection = sqlite3.connect(live, isolation_level=None)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("CREATE TABLE things(name TEXT)")
        connection.execute("INSERT INTO things VALUES ('precious')")
        if name == "empty.db":
            connection.execute("DROP TABLE things")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE more(name TEXT)")
        connection.executemany("INSERT INTO more VALUES (?)", [("x" * 3000,) for _ in range(200)])
        for end in ("", "-journal"):
            shutil.copyfile(live + end, path + end)
        connection.close()
        if name == "empty.db":
            case.completes(tree, want, path)
        else:
            expect(case.index(tree.folder, db=path), 1, name)
            if rows(path, "SELECT * FROM things") != [("precious",)]:
                fail("the other program's rows are gone")


def damaged_database(case):
    """Overwritten pages: an answer or an error with the name, never a crash or a hang; a backup brings everything back."""
    tree = case.documents(40)
    want = case.undisturbed(tree)
    expect(case.index(tree.folder), 0)
    saved = case.path("saved.db")
    case.program.must("backup", saved, "--db", case.db)
    with open(case.db, "rb") as file:
        whole = file.read()
    pages, errors = len(whole) // 4096, 0
    for number in range(0, pages, max(1, pages // 25)):
        with open(case.db, "wb") as file:
            file.write(whole[:number * 4096 + (100 if number == 0 else 0)])
            damage = bytes((i * 37 + number) & 255 for i in range(3000))
            file.write(damage + whole[number * 4096 + (100 if number == 0 else 0) + 3000:])
        for verb in (["index", tree.folder, "-m", FAKE], ["search", "tide"], ["status"]):
            done = case.program.run(*verb, "--db", case.db)
            if done.code not in (0, 1, 3) or (done.code and b"sextant: " not in done.err):
                fail("page %d damaged: %s" % (number, done))
            errors += done.code == 1
    for length in (50, 4096, len(whole) // 2):
        with open(case.db, "wb") as file:
            file.write(whole[:length])
        done = case.program.run("search", "tide", "--db", case.db)
        if done.code not in (0, 1):
            fail("cut to %d bytes: %s" % (length, done))
    if not errors:
        fail("no damage was noticed")
    case.program.must("restore", saved, "--db", case.db, "--force")
    case.completes(tree, want)


def damaged_segments(case):
    """Files of vectors are a copy: damaged, cut or missing ones change no answer."""
    tree = case.documents(60)
    expect(case.index(tree.folder), 0)

    def answer():
        hits = json.loads(case.program.must("search", "silver tide", "--db", case.db, "--json", "-n", "20").out)["hits"]
        return [(h["document"], h["index"], h["similarity"]) for h in hits]

    want, folder = answer(), case.db + "-vectors"
    for damage in ("flip", "cut", "empty", "remove", "garbage", "folder"):
        names = [os.path.join(folder, name) for name in os.listdir(folder)]
        if not names:
            fail("no file of vectors")
        for name in names:
            content = bytearray(open(name, "rb").read())
            if damage in ("remove", "folder"):
                os.unlink(name)
            else:
                if damage == "flip":
                    content[200] ^= 1
                elif damage == "garbage":
                    content = bytearray(os.urandom(len(content)))
                with open(name, "wb") as file:
                    file.write(content[:0 if damage == "empty" else len(content) // 2 if damage == "cut" else len(content)])
        if damage == "folder":
            os.rmdir(folder)
        if answer() != want:
            fail("%s: search answers otherwise" % damage)
        expect(case.index(tree.folder), 0)
        if answer() != want:
            fail("%s, indexed again: search answers otherwise" % damage)


# ---- Memory ----

def memory_limit(case):
    """10,000 documents with --max-memory 300MB stay below it."""
    with open(case.program.path, "rb") as file:
        if b"__asan_init" in file.read():
            raise Skip("the address sanitizer's own memory would be measured")
    tree = Tree(case.path("docs"), 11)
    for number in range(10000):
        tree.write("%02d/%04d.md" % (number % 100, number), "# Title %d\n\n%s\n" % (number, tree.paragraph()))
    child = case.program.start("index", tree.folder, "--db", case.db, "-m", FAKE, "--max-memory", "300MB", "-q")
    out, err = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    expect(Done(child.returncode, out, err), 0)
    if usage.ru_maxrss * 1024 >= 300_000_000:
        fail("peak memory %d KiB, limit 300 MB" % usage.ru_maxrss)
    print("  peak %d MB" % (usage.ru_maxrss * 1024 // 10 ** 6))


CASES = (full_disk, file_size_limit, full_output, read_only_folder, read_only_database, read_only_file_system, unreadable_documents,
         no_home, database_removed, missing_model, missing_model_files, truncated_weights, wrong_weights, broken_tokenizer, other_model,
         hostile_files, special_paths, long_line, wrong_databases, killed_in_a_transaction, damaged_database,
         damaged_segments, memory_limit)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sextant", required=True)
    parser.add_argument("cases", nargs="*")
    given = parser.parse_args()
    failed = skipped = ran = 0
    for function in CASES:
        name = function.__name__
        if given.cases and name not in given.cases:
            continue
        ran += 1
        with Scratch() as scratch:
            program = os.path.join(scratch, "sextant")
            shutil.copy(given.sextant, program)  # where user nobody can reach it
            began = time.monotonic()
            try:
                function(Case(Program(program, scratch), scratch))
                print("ok      %s (%.1f s)" % (name, time.monotonic() - began))
            except Skip as why:
                skipped += 1
                print("skipped %s: %s" % (name, why))
            except (SystemExit, Exception) as problem:
                failed += 1
                print("%s: %s: %s" % (name, type(problem).__name__, problem))
        sys.stdout.flush()
    print("%d cases, %d failed, %d passed over" % (ran, failed, skipped))
    # 77 is how a test tells meson that something was passed over; scripts/run-tests counts it in its last line.
    sys.exit(1 if failed or not ran else 77 if skipped else 0)


if __name__ == "__main__":
    main()
