#!/usr/bin/env python3
"""test_bench_stdio.py SEXTANT FIXTURES: speaks the line protocol of `sextant bench --stdio`, and compares its vectors with those of
`sextant embed` and its token ids with those of `sextant tokenize`. Also runs the verb's other forms for a moment."""
import base64
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

sextant, fixtures = (os.path.abspath(a) for a in sys.argv[1:3])
model = os.path.join(fixtures, "families", "bert")
TEXTS = ["the boats came in", "", "Ein Größenvergleich: naïve café, 北京, 😀 \"quoted\"\n\tand a second line", "word " * 300, "a"]
scratch = tempfile.mkdtemp(prefix="sextant-bench-")
bare = {"PATH": os.environ["PATH"], "HOME": scratch, "LC_ALL": "C.UTF-8"}
bare.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})


def run(*arguments, **more):
    return subprocess.run([sextant, *arguments], capture_output=True, text=True, env=bare, timeout=120, **more)


def rows(reply):
    data = base64.b64decode(reply["data"], validate=True)
    values = struct.unpack("<%df" % (reply["n"] * reply["dim"]), data)
    return [values[i:i + reply["dim"]] for i in range(0, len(values), reply["dim"])]


def unit(row):
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


class Stdio(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([sextant, "bench", "--stdio", "-m", model, "--threads", "2"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=bare)

    def tearDown(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        self.process.stdout.close()
        self.assertEqual((rest, self.process.wait(30)), ("", 0))

    def send(self, line):
        # The reply must come before the next request: nothing may lie in a buffer.
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ask(self, **request):
        return self.send(json.dumps(request))

    def refused(self, line, words):
        reply = self.send(line)
        self.assertIs(reply["ok"], False)
        self.assertIn(words, reply["error"])

    def test_vectors_are_those_of_embed(self):
        source = os.path.join(scratch, "texts.jsonl")
        with open(source, "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in TEXTS)
        expected = json.loads(run("embed", "-m", model, "-i", source, "--no-cache", "--json").stdout)["data"]
        reply = self.ask(op="vectors", mode="one", texts=TEXTS)
        self.assertTrue(reply["ok"])
        self.assertEqual(reply["n"], len(TEXTS))
        for row, item in zip(rows(reply), expected):
            self.assertEqual(reply["dim"], len(item["embedding"]))
            self.assertLess(max(abs(a - b) for a, b in zip(row, unit(item["embedding"]))), 1e-6)

    def test_ids_give_the_same_bits_as_texts(self):
        long_text = json.loads(run("tokenize", "-m", model, TEXTS[0], "--json").stdout)
        ids = self.ask(op="tokenize", texts=TEXTS[:3], return_ids=True)
        self.assertEqual(ids["ids"][0], [token["id"] for token in long_text["tokens"]])
        self.assertEqual(ids["tokens"], sum(map(len, ids["ids"])))
        by_text, by_ids = self.ask(op="vectors", mode="own", texts=TEXTS[:3]), self.ask(op="vectors", mode="own", ids=ids["ids"])
        self.assertEqual(by_text["data"], by_ids["data"])

    def test_tokens_are_not_cut(self):
        reply = self.ask(op="tokenize", texts=[TEXTS[3], "x"])
        self.assertGreater(reply["tokens"], 300)
        self.assertNotIn("ids", reply)
        self.assertGreaterEqual(reply["ms"], 0)

    def test_embed_says_no_data(self):
        reply = self.ask(op="embed", mode="own", texts=TEXTS * 20)
        self.assertEqual(sorted(reply), ["dim", "ms", "n", "ok"])
        self.assertEqual(reply["n"], 20 * len(TEXTS))
        self.assertGreater(reply["ms"], 0)
        self.assertEqual(self.ask(op="embed", mode="own", texts=[])["n"], 0)

    def test_what_is_wrong_is_an_answer(self):
        self.refused("", "the text ends")
        self.refused("[]", "expected an object")
        self.refused('{"op":"embed"', "byte")
        self.refused('{"op":"fly","texts":[]}', "'fly'")
        self.refused('{"op":"embed"}', "missing")
        self.refused('{"op":"tokenize","ids":[[1]]}', "missing")
        self.refused('{"op":"embed","texts":["a"],"ids":[[1]]}', "together")
        self.refused('{"op":"embed","texts":[7]}', "string")
        self.refused('{"op":"embed","ids":[[-1]]}', "byte")
        self.refused('{"op":"embed","ids":[[1],[]]}', "text 1")
        self.refused('{"op":"embed","ids":[[4294967295]]}', "4294967295")
        self.refused('{"op":"embed","ids":[[%s]]}' % ",".join(["1"] * 5000), "5000 tokens")
        self.assertTrue(self.ask(op="embed", mode="own", texts=["still there"])["ok"])

    def test_a_last_line_without_its_end(self):
        done = run("bench", "--stdio", "-m", model, input='{"op":"tokenize","texts":["a"]}')
        self.assertEqual((done.returncode, json.loads(done.stdout)["ok"]), (0, True))


class Figures(unittest.TestCase):
    def test_all(self):
        found = json.loads(run("bench", "-m", model, "--seconds", "0.5", "--json").stdout)
        self.assertGreaterEqual(found["machine"]["cores"], 1)
        self.assertGreater(found["machine"]["peaks"][0]["read_bytes_per_second"], 0)
        self.assertGreater(found["tokenizer"]["bytes_per_second"], 0)
        self.assertGreater(found["search"][0]["ms"], 0)
        for row in found["encoder"]:
            self.assertGreaterEqual(row["query_ms_p99"], row["query_ms_p50"])
            self.assertGreater(row["tokens_per_second"], 0)
            self.assertLessEqual(row["tokens"], found["model"]["max_length"])
        # One past the model's limit, where that is no round number, and none beyond.
        self.assertEqual(len({row["tokens"] for row in found["encoder"]}) * len({row["threads"] for row in found["encoder"]}),
                         len(found["encoder"]))
        people = run("bench", "-m", model, "--seconds", "0.5")
        self.assertRegex(people.stdout, r"(?m)^ +16 +1 .*[#.]{8,}$")
        self.assertNotIn("\033", people.stdout)
        self.assertLessEqual(max(map(len, people.stdout.split("\n\n", 1)[1].splitlines())), 80)

    def test_kernels(self):
        found = json.loads(run("bench", "--kernels", "-m", model, "--seconds", "0.2", "--json").stdout)["kernels"]
        self.assertLessEqual({"gemm", "attention", "norm", "gelu", "quantize", "gemm-int8", "search"}, {k["name"] for k in found})
        self.assertTrue(all(k["microseconds"] > 0 for k in found))
        one = json.loads(run("bench", "--kernels", "norm", "-m", model, "--seconds", "0.2", "--json").stdout)["kernels"]
        self.assertEqual({k["name"] for k in one}, {"norm"})

    def test_neighbour(self):
        found = json.loads(run("bench", "--neighbour", "-m", model, "--seconds", "0.2", "--json").stdout)["queries"]
        self.assertEqual({q["neighbour"] for q in found}, {True, False})

    def test_wrong_usage(self):
        self.assertEqual(run("bench", "gemm").returncode, 2)
        self.assertEqual(run("bench", "--kernels", "warp", "-m", model, "--seconds", "0.1").returncode, 2)
        done = run("bench", "--stdio", "-m", os.path.join(scratch, "none"), stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stdout), (1, ""))


unittest.main(argv=sys.argv[:1])
