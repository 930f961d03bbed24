#!/usr/bin/env python3
"""shapes.py - how much of the machine larger models get: tokens x parameters of the layers a second, beside MiniLM's shape.

shapes.py --sextant build/sextant --fixtures tests/fixtures [--threads 1] [--rounds 5] [--precision f32]

Makes models with random weights in the shapes of all-MiniLM-L6-v2, bge-base and XLM-R base (their layers; the vocabularies are those of
the fixtures, which costs no arithmetic) in a scratch folder, and lets them take turns over `bench --stdio` on 32 texts of 128 tokens given as
ids. Needs numpy. Prints the medians and the ratio to the first shape."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile

import numpy as np

SHAPES = {"MiniLM-L6": ("bert", 384, 1536, 12, 6), "bge-base": ("bert", 768, 3072, 12, 12), "XLM-R base": ("xlm-roberta", 768, 3072, 12, 12)}
TEXTS, TOKENS = 32, 128


def write_safetensors(path, tensors):
    header, place = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(array.tobytes())


def make_model(folder, fixtures, family, hidden, middle, heads, layers):
    """A folder of the fixture family with other sizes; returns the parameters of its layers."""
    source = os.path.join(fixtures, "families", family)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("expected*", "model.safetensors"))
    config = json.load(open(source + "/config.json"))
    config.update(hidden_size=hidden, intermediate_size=middle, num_attention_heads=heads, num_hidden_layers=layers, max_position_embeddings=514)
    json.dump(config, open(folder + "/config.json", "w"))
    pooling = folder + "/1_Pooling/config.json"
    settings = dict(json.load(open(pooling)), word_embedding_dimension=hidden)
    json.dump(settings, open(pooling, "w"))
    json.dump({"max_seq_length": 256, "do_lower_case": False}, open(folder + "/sentence_bert_config.json", "w"))
    random, tensors = np.random.default_rng(1), {}

    def add(name, *shape):
        tensors[name] = (random.standard_normal(shape) * 0.02).astype(np.float32)

    def linear(name, outputs, inputs):
        add(name + ".weight", outputs, inputs)
        add(name + ".bias", outputs)

    def norm(name):
        tensors[name + ".weight"] = np.ones(hidden, np.float32)
        tensors[name + ".bias"] = np.zeros(hidden, np.float32)

    add("embeddings.word_embeddings.weight", config["vocab_size"], hidden)
    add("embeddings.position_embeddings.weight", 514, hidden)
    add("embeddings.token_type_embeddings.weight", config["type_vocab_size"], hidden)
    norm("embeddings.LayerNorm")
    for i in range(layers):
        layer = "encoder.layer.%d." % i
        for part in ("query", "key", "value"):
            linear(layer + "attention.self." + part, hidden, hidden)
        linear(layer + "attention.output.dense", hidden, hidden)
        norm(layer + "attention.output.LayerNorm")
        linear(layer + "intermediate.dense", middle, hidden)
        linear(layer + "output.dense", hidden, middle)
        norm(layer + "output.LayerNorm")
    write_safetensors(folder + "/model.safetensors", tensors)
    return layers * (4 * hidden * hidden + 2 * hidden * middle)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sextant", default="build/sextant")
    parser.add_argument("--fixtures", default="tests/fixtures")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="f32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        running, parameters, times = {}, {}, {}
        ids = [[5 + (7 * i + j) % 800 for j in range(TOKENS)] for i in range(TEXTS)]
        request = json.dumps({"op": "embed", "mode": "own", "ids": ids}) + "\n"
        for name, shape in SHAPES.items():
            folder = os.path.join(scratch, name.replace(" ", "-"))
            parameters[name] = make_model(folder, arguments.fixtures, *shape)
            command = [arguments.sextant, "bench", "--stdio", "-m", folder, "--threads", arguments.threads, "--precision", arguments.precision]
            running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for round in range(arguments.rounds + 1):
            for name, process in running.items():
                process.stdin.write(request)
                process.stdin.flush()
                reply = json.loads(process.stdout.readline())
                if not reply["ok"]:
                    raise SystemExit("%s: %s" % (name, reply["error"]))
                if round:  # the first one warms up
                    times.setdefault(name, []).append(reply["ms"])
        for process in running.values():
            process.stdin.close()
            process.wait()
    first = None
    for name, values in times.items():
        rate = TEXTS * TOKENS * parameters[name] / (statistics.median(values) * 1e-3) / 1e9
        first = first or rate
        print("%-12s %9.1f ms  %7.1f G tokens x parameters/s  %.2f of %s" % (name, statistics.median(values), rate, rate / first, next(iter(SHAPES))))


if __name__ == "__main__":
    main()
