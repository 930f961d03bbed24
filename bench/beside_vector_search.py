#!/usr/bin/env python3
"""The graph index beside hnswlib, faiss and usearch: the same vectors, one run, in turns.

usage: beside_vector_search.py BENCH_HNSW VECTORS.npy QUERIES.npy [--threads 2] [--rounds 5] [--peers hnswlib,faiss,usearch-f32,usearch-i8]
                               [--ours codes,f32] [--out FILE.json]
needs: pip install numpy hnswlib faiss-cpu usearch; BENCH_HNSW is build/bench/bench_hnsw. Rows have length 1.
All indexes are built one after the other (M 16, ef_construction 128), then searched in turns: in each round every index answers all
queries once for each ef. The least processor time of a round is kept, since other programs only add to it, and the median of the
clock's. Recall is of the exact ten best. Then, of ours: save, open, removing a tenth and inserting it again, and filters.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np

M, EF_BUILD, K = 16, 128, 10
EFS = (32, 48, 64, 80, 96, 128, 160, 192, 256, 320)


def exact(x, q, allowed=None, block=50_000):
    """Ids (n, K) of the rows of x (those allowed) with the largest inner product, best first."""
    best_s, best_i = np.full((len(q), K), -2, np.float32), np.full((len(q), K), -1, np.int64)
    for s in range(0, len(x), block):
        scores = q @ x[s:s + block].T
        if allowed is not None:
            scores[:, ~allowed[s:s + block]] = -3
        top = np.argpartition(-scores, K - 1, 1)[:, :K]
        s_all, i_all = np.concatenate([best_s, np.take_along_axis(scores, top, 1)], 1), np.concatenate([best_i, top + s], 1)
        order = np.argsort(-s_all, 1)[:, :K]
        best_s, best_i = np.take_along_axis(s_all, order, 1), np.take_along_axis(i_all, order, 1)
    return best_i


def recall(ids, truth):
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(ids.tolist(), truth.tolist())]))


def resident_mb():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Library:
    """A peer inside this process."""

    def __init__(self, name, threads):
        self.name, self.threads = name, threads

    def build(self, x):
        before, start, used = resident_mb(), time.time(), time.process_time()
        if self.name == "hnswlib":
            import hnswlib
            self.index = hnswlib.Index(space="ip", dim=x.shape[1])
            self.index.init_index(max_elements=len(x), M=M, ef_construction=EF_BUILD)
            self.index.set_num_threads(self.threads)
            self.index.add_items(x)
        elif self.name == "faiss":
            import faiss
            faiss.omp_set_num_threads(self.threads)
            self.index = faiss.IndexHNSWFlat(x.shape[1], M, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efConstruction = EF_BUILD
            self.index.add(x)
        else:
            from usearch.index import Index
            self.index = Index(ndim=x.shape[1], metric="cos", dtype=self.name[8:], connectivity=M, expansion_add=EF_BUILD)
            self.index.add(np.arange(len(x)), x, threads=self.threads)
        return {"build_s": time.time() - start, "build_cpu_s": time.process_time() - used, "mb": resident_mb() - before}

    def search(self, q, ef):
        start, used = time.time(), time.process_time()
        if self.name == "hnswlib":
            self.index.set_ef(ef)
            ids = self.index.knn_query(q, k=K)[0]
        elif self.name == "faiss":
            self.index.hnsw.efSearch = ef
            ids = self.index.search(q, K)[1]
        else:
            self.index.expansion_search = ef
            ids = self.index.search(q, K, threads=self.threads).keys
        return time.time() - start, time.process_time() - used, ids.astype(np.int64)


class Ours:
    """bench_hnsw as a child."""

    def __init__(self, program, kind, vectors, queries, threads, folder):
        self.kind, self.ids = kind, os.path.join(folder, kind + ".ids")
        self.child = subprocess.Popen([program, vectors, queries, str(threads), kind, str(M), str(EF_BUILD)], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, line):
        print(line, file=self.child.stdin, flush=True)
        return [float(x) for x in self.child.stdout.readline().split()]

    def used(self):
        with open(f"/proc/{self.child.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def build(self, x):
        before = self.used()
        seconds, size = self.say("build")
        mb = size / 2**20 + (x.nbytes / 2**20 if self.kind == "f32" else 0)
        return {"build_s": seconds, "build_cpu_s": self.used() - before, "mb": mb}

    def found(self):
        return np.fromfile(self.ids, np.int32).reshape(-1, K).astype(np.int64)

    def search(self, q, ef):
        wall, used, _ = self.say(f"search {ef} {self.ids}")
        return wall, used, self.found()


def shuffled(n):
    """As in bench_hnsw.c: below a share, the row passes the filter."""
    with np.errstate(over="ignore"):
        x = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        x = (x ^ x >> np.uint64(29)) * np.uint64(0xbf58476d1ce4e5b9)
    return ((x ^ x >> np.uint64(32)) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def more_of_ours(ours, x, q, truth, folder):
    path, result = os.path.join(folder, "graph.sxg"), {}
    result["save_s"] = ours.say(f"save {path}")[0]
    result["file_mb"] = os.path.getsize(path) / 2**20
    order = shuffled(len(x))
    for share in (0.5, 0.1, 0.01, 0.001):
        wall, used, ef = ours.say(f"filter {share} 0 {ours.ids}")
        ids, right = ours.found(), exact(x, q, order < share)
        result[f"filter {share}"] = {"ef": ef, "recall": recall(ids, right), "cpu_us": 1e6 * used / len(q), "short": int((ids < 0).sum())}
    result["recall_before"] = recall(ours.search(q, 96)[2], truth)
    result["remove_s"], result["insert_s"] = ours.say("churn 0.1")
    result["recall_after"] = recall(ours.search(q, 96)[2], truth)
    result["open_ms"] = 1e3 * ours.say(f"open {path}")[0]
    result["recall_opened"] = recall(ours.search(q, 96)[2], truth)
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("vectors")
    p.add_argument("queries")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--peers", default="hnswlib,faiss,usearch-f32,usearch-i8")
    p.add_argument("--ours", default="codes,f32")
    p.add_argument("--out")
    a = p.parse_args()
    x, q = np.ascontiguousarray(np.load(a.vectors)), np.load(a.queries)
    truth = exact(x, q)
    with tempfile.TemporaryDirectory() as folder:
        entries = {kind: Ours(a.program, kind, a.vectors, a.queries, a.threads, folder) for kind in a.ours.split(",")}
        entries |= {name: Library(name, a.threads) for name in a.peers.split(",") if name}
        result = {}
        for name, entry in entries.items():
            result[name] = entry.build(x)
            print(name, {k: round(v, 1) for k, v in result[name].items()}, flush=True)
        times = {}
        for _ in range(a.rounds):
            for ef in EFS:
                for name, entry in entries.items():
                    wall, used, ids = entry.search(q, ef)
                    times.setdefault((name, ef), []).append((wall, used))
                    result[name].setdefault("search", {}).setdefault(ef, {})["recall"] = recall(ids, truth)
        for (name, ef), rounds in times.items():
            row = result[name]["search"][ef]
            row["cpu_us"] = 1e6 * min(used for _, used in rounds) / len(q)
            row["queries_per_s"] = len(q) / sorted(wall for wall, _ in rounds)[len(rounds) // 2]
        for name in entries:
            for ef, row in result[name]["search"].items():
                print(f"{name:12} ef {ef:4} recall {row['recall']:.4f}  {row['cpu_us']:8.1f} us of a processor  "
                      f"{row['queries_per_s']:8.0f} queries/s", flush=True)
        for kind in a.ours.split(","):
            result[kind]["more"] = more_of_ours(entries[kind], x, q, truth, folder)
            print(kind, json.dumps(result[kind]["more"]), flush=True)
        for kind in a.ours.split(","):
            entries[kind].child.stdin.close()
            entries[kind].child.wait()
    if a.out:
        with open(a.out, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
