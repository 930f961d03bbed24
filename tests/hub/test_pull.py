#!/usr/bin/env python3
"""`sextant models pull` against a local hub that behaves, and misbehaves, as the real one; and the cache shared with huggingface_hub.

test_pull.py SEXTANT FIXTURES [NAME...]. Python's huggingface_hub must be importable (make test installs it for this)."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hub_server import Hub, Repository  # noqa: E402

SEXTANT, FIXTURES = sys.argv[1], sys.argv[2]
WEIGHTS = "model.safetensors"
hub = Hub()


class Place:
    """A fresh home, and the program in it."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="pull-")
        self.cache = self.home + "/hub"

    def environment(self, **more):
        return {"HOME": self.home, "PATH": os.environ["PATH"], "HF_HUB_CACHE": self.cache, "HF_ENDPOINT": hub.url,
                "NO_PROXY": "127.0.0.1", **more}

    def start(self, *words, **more):
        return subprocess.Popen([SEXTANT, *words], env=self.environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words, code=0, **more):
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=100)
        assert process.returncode == code, "%s: exit %s, expected %s: %s%s" % (" ".join(words), process.returncode, code, out, err)
        return out + err if code else out

    def pull(self, *words, code=0, **more):
        return self.run("models", "pull", *words, code=code, **more)

    def repository(self, name="org/bert"):
        return self.cache + "/models--" + name.replace("/", "--")

    def snapshots(self, name="org/bert"):
        folder = self.repository(name) + "/snapshots"
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def close(self):
        shutil.rmtree(self.home)


def check_files(folder, repository):
    """Every file of the snapshot is the repository's, byte by byte."""
    found = [os.path.relpath(os.path.join(base, name), folder) for base, _, names in os.walk(folder) for name in names]
    assert WEIGHTS in found and "config.json" in found and "1_Pooling/config.json" in found, found
    for name in found:
        assert open(os.path.join(folder, name), "rb").read() == repository.files[name], name
    return found


def ranges(path=WEIGHTS):
    return [headers.get("Range") for kind, method, place, headers in hub.log if kind == "storage" and method == "GET" and place.endswith(path)]


def test_plain(place, repository):
    folder = place.pull("org/bert").strip()
    found = check_files(folder, repository)
    assert "model.onnx" not in found and "onnx/model.onnx" not in found and "pytorch_model.bin" not in found, found
    blob = place.repository() + "/blobs/" + hashlib.sha256(repository.files[WEIGHTS]).hexdigest()
    assert os.path.isfile(blob) and os.path.realpath(folder + "/" + WEIGHTS) == os.path.realpath(blob)
    assert open(place.repository() + "/refs/main").read() == repository.branches["main"]
    assert len(json.loads(place.run("embed", "-m", "org/bert", "--no-cache", "--json", "hello"))["data"][0]["embedding"]) == 48
    assert [m["name"] for m in json.loads(place.run("models", "list", "--json"))["models"]] == ["org/bert"]
    hub.forget()
    assert place.pull("org/bert").strip() == folder
    assert not any(method == "GET" and "resolve" in path for _, method, path, _ in hub.log), "fetched again"


def test_python_finds_what_sextant_stored(place, repository):
    place.pull("org/bert")
    found = python(place, "import huggingface_hub as h; print(h.snapshot_download('org/bert', allow_patterns=['*.json', '*.safetensors']))",
                   HF_HUB_OFFLINE="1")
    check_files(found.strip(), repository)
    one = python(place, "import huggingface_hub as h; print(h.try_to_load_from_cache('org/bert', 'config.json'))", HF_HUB_OFFLINE="1")
    assert json.load(open(one.strip()))["model_type"] == "bert"
    scan = python(place, "import huggingface_hub as h; i = h.scan_cache_dir(); print(len(i.repos), len(i.warnings))", HF_HUB_OFFLINE="1")
    assert scan.split() == ["1", "0"], scan


def test_sextant_finds_what_python_stored(place, repository):
    python(place, "import huggingface_hub as h; h.snapshot_download('org/bert')")
    assert len(json.loads(place.run("embed", "-m", "org/bert", "--no-cache", "--json", "hello"))["data"][0]["embedding"]) == 48
    hub.forget()
    check_files(place.pull("org/bert").strip(), repository)
    assert not ranges(), "fetched again what Python had"
    # and Python goes on with what Sextant added
    python(place, "import huggingface_hub as h; h.snapshot_download('org/bert')")


def test_python_takes_up_a_cut_pull(place, repository):
    size = len(repository.files[WEIGHTS])
    hub.cut_after[WEIGHTS] = [size // 2] + [0] * 20
    process = place.start("models", "pull", "org/bert")
    incomplete = place.repository() + "/blobs/" + hashlib.sha256(repository.files[WEIGHTS]).hexdigest() + ".incomplete"
    wait_until(lambda: os.path.exists(incomplete) and os.path.getsize(incomplete) >= size // 2)
    process.kill()
    process.wait()
    hub.cut_after.clear()
    found = python(place, "import huggingface_hub as h; print(h.snapshot_download('org/bert'))").strip()
    check_files(found, repository)




def test_cut_connection_resumes(place, repository):
    size = len(repository.files[WEIGHTS])
    hub.cut_after[WEIGHTS] = [size // 3, size // 3]
    check_files(place.pull("org/bert").strip(), repository)
    begins = [int(r[6:-1]) if r else 0 for r in ranges()]
    assert begins == [0, size // 3, size // 3 * 2], begins


def test_killed_and_taken_up(place, repository):
    size = len(repository.files[WEIGHTS])
    hub.seconds_per_block = 0.2
    process = place.start("models", "pull", "org/bert")
    incomplete = place.repository() + "/blobs/" + hashlib.sha256(repository.files[WEIGHTS]).hexdigest() + ".incomplete"
    wait_until(lambda: os.path.exists(incomplete) and os.path.getsize(incomplete) >= 65536)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not place.snapshots(), "half a snapshot"
    hub.seconds_per_block = 0
    hub.forget()
    check_files(place.pull("org/bert").strip(), repository)
    assert len(ranges()) == 1 and 65536 <= int(ranges()[0][6:-1]) < size, ranges()


def test_interrupted_says_130(place, repository):
    hub.seconds_per_block = 0.2
    process = place.start("models", "pull", "org/bert")
    wait_until(lambda: ranges())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130, process.returncode
    assert not place.snapshots()


def test_server_without_ranges(place, repository):
    hub.ignore_range = True
    hub.cut_after[WEIGHTS] = [len(repository.files[WEIGHTS]) // 2]
    check_files(place.pull("org/bert").strip(), repository)


def test_damaged_beginning_is_fetched_again(place, repository):
    folder = place.repository() + "/blobs"
    os.makedirs(folder)
    sha256 = hashlib.sha256(repository.files[WEIGHTS]).hexdigest()
    open(folder + "/" + sha256 + ".incomplete", "wb").write(b"x" * 1000)
    check_files(place.pull("org/bert").strip(), repository)
    open(folder + "/" + sha256 + ".incomplete", "wb").write(b"x" * (len(repository.files[WEIGHTS]) + 5))
    os.unlink(folder + "/" + sha256)
    check_files(place.pull("org/bert").strip(), repository)


def test_wrong_hash_is_refused(place, repository):
    for name in (WEIGHTS, "config.json"):
        data = repository.files[name]
        hub.replace = {name: data[:-1] + bytes([data[-1] ^ 1])}
        place.close()
        message = place.pull("org/bert", code=1)
        assert name in message and "hash" in message, message
        assert not place.snapshots()
        assert not [f for f in os.listdir(place.repository() + "/blobs") if f.endswith(".incomplete")]


def test_refusals(place, repository):
    assert "org/none" in place.pull("org/none", code=1) and not place.snapshots("org/none")
    repository.private = True
    message = place.pull("org/bert", code=1)
    assert "HF_TOKEN" in message and "401" in message, message
    place.pull("org/bert", HF_TOKEN="hf_right")
    assert "the token" in place.pull("org/bert", code=1, HF_TOKEN="hf_wrong")
    repository.private, repository.gated = False, True
    message = Place().pull("org/bert", code=1)
    assert "GatedRepo" in message and "conditions" in message, message
    repository.gated = False
    message = place.pull("org/bert", "--revision", "v9", code=1)
    assert "v9" in message and "RevisionNotFound" in message, message
    assert "--offline" in place.pull("org/bert", "--offline", code=1)
    assert "HF_HUB_OFFLINE" in place.pull("org/bert", code=1, HF_HUB_OFFLINE="1")
    for name in ("a/b/c", "../x", "org/..", "nosuchalias"):
        place.pull(name, code=2)
    place.pull("org/bert@../x", code=2)


def test_limits_and_failures_pass(place, repository):
    hub.refuse = {"list": [(429, [("Retry-After", "1")])], WEIGHTS: [(503, []), (500, [])], "config.json": [(429, [("Retry-After", "0")])]}
    began = time.monotonic()
    check_files(place.pull("org/bert").strip(), repository)
    assert time.monotonic() - began >= 1, "Retry-After was not kept"


def test_token_stays_with_the_hub(place, repository):
    place.pull("org/bert", HF_TOKEN="hf_right")
    assert any("Authorization" in headers for kind, _, _, headers in hub.log if kind == "hub")
    assert not any("Authorization" in headers for kind, _, _, headers in hub.log if kind == "storage")
    # the file huggingface_hub's login leaves
    open(place.home + "/token", "w").write("hf_right\n")
    hub.forget()
    place.pull("org/bert")
    assert any(headers.get("Authorization") == "Bearer hf_right" for _, _, _, headers in hub.log)


def test_renamed_repository(place, repository):
    hub.repositories["old/name"] = Repository(FIXTURES + "/families/bert")
    hub.repositories["old/name"].renamed_to = "org/bert"
    check_files(place.pull("old/name").strip(), repository)
    del hub.repositories["old/name"]


def test_revisions(place, repository):
    first = place.pull("org/bert@main").strip()
    repository.branches["v1"] = repository.branches["main"]
    repository.files["README.md"] = b"# new\n"
    repository.branches["main"] = repository.commit()
    second = place.pull("org/bert").strip()
    assert first != second and len(place.snapshots()) == 2
    assert place.pull("org/bert", "--revision", "v1").strip() == first
    assert json.loads(place.run("models", "info", "org/bert", "--json"))["folder"] == second
    assert json.loads(place.run("models", "info", "org/bert@v1", "--json"))["folder"] == first


def test_unsafe_names(place, repository):
    repository.files["../../outside.json"] = b"{}"
    repository.files["1_Pooling/../../../x.json"] = b"{}"
    place.pull("org/bert", "--file", "*.json", "--file", "*/*.json", "--file", WEIGHTS)
    everything = [name for _, _, names in os.walk(place.home) for name in names]
    assert "outside.json" not in everything and "x.json" not in everything


def test_chosen_files(place, repository):
    repository.files["tiny-q8_0.gguf"] = b"GGUF" + b"\0" * 100
    folder = place.pull("org/bert", "--file", "*q8_0.gguf").strip()
    assert os.listdir(folder) == ["tiny-q8_0.gguf"]
    assert "matches" in place.pull("org/bert", "--file", "*.none", code=1)


def test_shards_and_old_weights(place, repository):
    data = repository.files.pop(WEIGHTS)
    repository.files["pytorch_model.bin"] = b"old"
    folder = place.pull("org/bert").strip()
    assert "pytorch_model.bin" in os.listdir(folder)
    repository.files["model.safetensors.index.json"] = b'{"weight_map":{}}'
    repository.files["model-00001-of-00002.safetensors"] = data[:100]
    repository.files["model-00002-of-00002.safetensors"] = data[100:]
    repository.branches["main"] = repository.commit()
    found = os.listdir(place.pull("org/bert").strip())
    assert "model-00002-of-00002.safetensors" in found and "pytorch_model.bin" not in found, found


def test_two_at_once(place, repository):
    hub.seconds_per_block = 0.02
    processes = [place.start("models", "pull", "org/bert") for _ in range(4)]
    folders = set()
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        folders.add(out.strip())
    assert len(folders) == 1
    check_files(folders.pop(), repository)
    assert len(ranges()) == 1, "several fetched the same file"


def test_known_models(place, repository):
    known = json.loads(place.run("models", "list", "--known", "--json"))["known"]
    assert len(known) >= 40 and len({k["alias"] for k in known}) == len(known) == len({k["hub"] for k in known})
    for model in known:
        assert model["hub"].count("/") == 1 and model["max_length"] > 0 and model["parameters"] > 0, model
        assert (model["dimensions"] > 0) == (model["kind"] != "cross-encoder"), model
    hub.repositories["sentence-transformers/all-MiniLM-L6-v2"] = repository
    folder = place.pull("minilm").strip()
    assert json.loads(place.run("models", "info", "minilm", "--json"))["folder"] == folder


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not come about in 20 s")


def python(place, code, **more):
    done = subprocess.run([sys.executable, "-c", code], env=place.environment(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1",
                                                                              HF_HUB_DISABLE_XET="1",
                                                                              PYTHONPATH=os.environ.get("PYTHONPATH", ""), **more),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


failed = 0
for name, test in sorted(globals().items()):
    if not name.startswith("test_") or (len(sys.argv) > 3 and name not in sys.argv[3:]):
        continue
    repository = Repository(FIXTURES + "/families/bert")
    repository.files.update({"onnx/model.onnx": b"onnx", "pytorch_model.bin": b"old form", ".gitattributes": b"x", "README.md": b"# model\n",
                             "model.safetensors.index.json.bak": b"{}"})
    repository.branches["main"] = repository.commit()
    hub.forget()
    hub.repositories = {"org/bert": repository}
    place = Place()
    began = time.monotonic()
    try:
        test(place, repository)
        print("%-45s ok      %5.1f s" % (name, time.monotonic() - began))
    except Exception as problem:  # noqa: BLE001 - every kind is a failed test
        failed += 1
        print("%-45s FAILED  %s: %s" % (name, type(problem).__name__, problem))
    place.close()
sys.exit(1 if failed else 0)
