"""What the crash tests share: running the program under a time limit, documents that can be made again from a seed, and looking
into a database from outside. Only Python's standard library is needed."""
import argparse
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures")
BERT = os.path.abspath(os.path.join(FIXTURES, "families", "bert"))
COMPLAINTS = re.compile(rb"database is locked|database table is locked|database is busy|SQLITE_BUSY|SQLITE_LOCKED|malformed|"
                        rb"AddressSanitizer|runtime error|ThreadSanitizer|Assertion|stack smashing|corrupted", re.I)
WORDS = ("vector anchor river engine quiet lantern copper window signal garden harbour number yellow carbon letter winter market "
         "figure paper stone method bridge island measure corner silver thunder memory orchard compass sailor horizon tide star "
         "über naïve 日本 данные café").split()


def given_arguments(description, model, files, **lengths):
    """What the tests that index are told: --sextant, --model ("bert": the real one of the fixtures), --files, --seed, and how long they run, as
    a number with a default."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--sextant", required=True)
    parser.add_argument("--model", default=model)
    parser.add_argument("--files", type=int, default=files)
    parser.add_argument("--seed", type=int, default=1)
    for name, length in lengths.items():
        parser.add_argument("--" + name, type=type(length), default=length)
    given = parser.parse_args()
    given.model = BERT if given.model == "bert" else given.model
    return given


class Scratch:
    """A folder that goes when the test ends, readable by other users as some cases need."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="sextant-crash-")
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        subprocess.run(["chmod", "-R", "u+rwX", self.path], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.path, ignore_errors=True)


def environment(scratch):
    """Bare, so that nothing of the user's settings plays in."""
    home = os.path.join(scratch, "home")
    os.makedirs(home, exist_ok=True)
    bare = {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": scratch, "LC_ALL": "C.UTF-8"}
    bare.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "LD_LIBRARY_PATH"})
    return bare


class Done:
    """How a run ended. code is negative for a signal, None when it did not end in time."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return "exit %s\n    out: %r\n    err: %r" % ("none: did not end in time" if self.code is None else self.code,
                                                     self.out[-600:], self.err[-1500:])


class Program:
    def __init__(self, path, scratch):
        self.path, self.scratch, self.environment = os.path.abspath(path), scratch, environment(scratch)

    def start(self, *arguments, **options):
        options.setdefault("env", self.environment)
        options.setdefault("cwd", self.scratch)
        return subprocess.Popen([self.path, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def run(self, *arguments, within=60, **options):
        child = self.start(*arguments, **options)
        try:
            out, err = child.communicate(timeout=within)
            return Done(child.returncode, out, err)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            return Done(None, out, err)

    def must(self, *arguments, **options):
        done = self.run(*arguments, **options)
        if done.code != 0:
            fail("sextant %s: %s" % (" ".join(map(str, arguments)), done))
        if COMPLAINTS.search(done.out + done.err):
            fail("sextant %s complains: %s" % (" ".join(map(str, arguments)), done))
        return done

    def export(self, db, collection):
        return self.must("collections", "export", collection, "--db", db, "--format", "jsonl", "-o", "-").out


def fail(message):
    raise SystemExit("FAILED: " + message)


def same_exports(name, got, want):
    if got == want:
        return
    mine, theirs = got.splitlines(), want.splitlines()
    first = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
    fail("%s: the content differs from the undisturbed run's: %d and %d chunks, first difference at line %d:\n    %r\n    %r"
         % (name, len(mine), len(theirs), first + 1, mine[first:first + 1], theirs[first:first + 1]))


class Tree:
    """Documents under a folder, changed at random from a seed. Every change is atomic: by a rename within the file system."""

    def __init__(self, folder, seed):
        self.folder, self.random, self.made = folder, random.Random(seed), 0
        self.staging = folder + "-staging"
        self.common = [self.paragraph() for _ in range(12)]
        os.makedirs(folder)
        os.makedirs(self.staging)

    def paragraph(self):
        count = self.random.randint(8, 60)
        return " ".join(self.random.choice(WORDS) for _ in range(count)).capitalize() + " %d." % self.random.randint(0, 10 ** 6)

    def text(self, paragraphs=None):
        parts = []
        for _ in range(paragraphs or self.random.randint(1, 14)):
            if self.random.random() < 0.2:
                parts.append("%s %s" % ("#" * self.random.randint(1, 3), self.random.choice(WORDS)))
            # Some paragraphs stand in many documents: equal chunks are embedded once.
            parts.append(self.random.choice(self.common) if self.random.random() < 0.2 else self.paragraph())
        return "\n\n".join(parts) + "\n"

    def names(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.folder)
                      for folder, _, names in os.walk(self.folder) for name in names)

    def write(self, name, text):
        path, staged = os.path.join(self.folder, name), os.path.join(self.staging, "new")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(staged, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(staged, path)

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def new_name(self):
        self.made += 1
        return "%s%05d.%s" % (self.random.choice(["", "a/", "b/", "b/deep/er/"]), self.made, self.random.choice(["md", "txt"]))

    def add(self, count):
        for _ in range(count):
            self.write(self.new_name(), self.text())

    def change(self, count, kinds=("edit", "edit", "append", "rename", "copy", "delete", "add")):
        for _ in range(count):
            names = self.names()
            kind, name = self.random.choice(kinds), self.random.choice(names)
            if kind == "add" or len(names) < 20:
                self.add(1)
            elif kind == "edit":
                parts = self.read(name).split("\n\n")
                parts[self.random.randrange(len(parts))] = self.paragraph()
                self.write(name, "\n\n".join(parts) + "\n")
            elif kind == "append":
                self.write(name, self.read(name) + "\n" + self.text(2))
            elif kind == "copy":
                self.write(self.new_name(), self.read(name))
            elif kind == "rename":
                target = os.path.join(self.folder, self.new_name())
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.rename(os.path.join(self.folder, name), target)
            else:
                os.unlink(os.path.join(self.folder, name))

    def snapshot(self):
        return {name: self.read(name) for name in self.names()}

    def restore(self, snapshot):
        for name in self.names():
            if name not in snapshot:
                os.unlink(os.path.join(self.folder, name))
        for name, text in snapshot.items():
            if not os.path.exists(os.path.join(self.folder, name)) or self.read(name) != text:
                self.write(name, text)


def copy_of_database(db, to):
    """A copy of the files of a database that no living process has open. Looking at the original would recover its log."""
    for end in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(to + end):
            os.unlink(to + end)
    for end in ("", "-wal", "-journal"):
        if os.path.exists(db + end):
            shutil.copyfile(db + end, to + end)
    return to


def rows(db, statement):
    connection = sqlite3.connect(db, timeout=60)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")  # a file's name need not be UTF-8
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def check_database(db, where):
    """Whole, nothing embedded twice, no document in part. Returns what is in it."""
    if rows(db, "SELECT count(*) FROM sqlite_master")[0][0] == 0:
        return {"tables": False}
    whole = rows(db, "PRAGMA integrity_check")
    if whole != [("ok",)]:
        fail("%s: integrity_check: %r" % (where, whole[:5]))
    orphans = rows(db, "PRAGMA foreign_key_check")
    if orphans:
        fail("%s: foreign_key_check: %r" % (where, orphans[:5]))
    twice = rows(db, "SELECT id, computed FROM vector WHERE computed <> 1 LIMIT 5")
    if twice:
        fail("%s: embedded more than once: (vector, times) %r" % (where, twice))
    partial = rows(db, "SELECT path, chunk_count, (SELECT count(*) FROM chunk WHERE document = document.id) AS there FROM document "
                       "WHERE chunk_count <> there LIMIT 5")
    if partial:
        fail("%s: documents in part: (path, chunks recorded, there) %r" % (where, partial))
    spare = rows(db, "SELECT (SELECT count(*) FROM spare), (SELECT value FROM counter WHERE name = 'spare_entries'), "
                     "(SELECT count(*) FROM vector WHERE id NOT IN (SELECT vector FROM chunk WHERE vector IS NOT NULL))")[0]
    if len(set(spare)) != 1:
        fail("%s: spare vectors: %d rows, counted as %d, really %d" % (where, *spare))
    counts = rows(db, "SELECT (SELECT count(*) FROM vector), (SELECT count(*) FROM chunk), (SELECT max(id) FROM segment)")[0]
    return {"tables": True, "vectors": counts[0], "chunks": counts[1], "segments": counts[2] or 0,
            "pending": rows(db, "SELECT count(*) FROM document WHERE state = 0")[0][0]}


