"""serving.py - a `sextant serve` on a free port for one test, and small HTTP clients: a good one, and one that sends any bytes."""
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
program = os.path.abspath(sys.argv[1])
model = os.environ.get("SX_TEST_MODEL")
if not model:
    sys.exit("SX_TEST_MODEL is not set: run `make model`, then `make test`")
fixtures = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures")
families = os.path.join(fixtures, "families")


def environment(home):
    return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "SEXTANT_MODELS": os.path.dirname(model.rstrip("/")),
            "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", ""), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "")}


class Server:
    """with Server("--option", ...) as s: ...; at the end it must exit 0 by SIGTERM, with nothing strange said."""

    def __init__(self, *options, models=("minilm=" + model,), notify=None, wait=True):
        self.home = tempfile.mkdtemp(prefix="sextant-serve-")
        self.log = os.path.join(self.home, "access.log")
        argv = [program, "serve", "--port", "0", "--access-log", self.log, *[w for m in models for w in ("-m", m)], *options]
        env = environment(self.home)
        if notify:
            env["NOTIFY_SOCKET"] = notify
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.home, env=env)
        self.said, self.port = "", 0
        if wait:
            self.wait_ready()

    def wait_ready(self):
        end = time.monotonic() + 60
        while "(stop with Ctrl-C)" not in self.said and time.monotonic() < end:
            if select.select([self.process.stderr], [], [], 0.2)[0]:
                more = os.read(self.process.stderr.fileno(), 65536).decode()
                assert more, f"the server ended: {self.said}"
                self.said += more
        self.port = int(self.said.split("http://127.0.0.1:")[1].split()[0])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(40)
            self.said += self.process.stderr.read().decode()
            if not kind:
                assert code == 0, f"exit {code}: {self.said[-3000:]}"
                assert "Sanitizer" not in self.said and "runtime error" not in self.said, self.said[:6000]
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stderr.close()
            shutil.rmtree(self.home, True)

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def own_memory(self):
        """Resident bytes that are no file's: pages of a mapped model come in as its words do, and go when memory is wanted."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:")) * 1024

    def raw(self, data=b"", timeout=10):
        s = socket.create_connection(("127.0.0.1", self.port), timeout)
        if data:
            s.sendall(data)
        return s

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, path, body=None, headers=None, method=None, connection=None):
        """(status, parsed JSON or bytes, headers in lower case)"""
        c = connection or self.connection()
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        c.request(method or ("GET" if data is None else "POST"), path, data,
                  {"Content-Type": "application/json", **(headers or {})})
        r = c.getresponse()
        raw = r.read()
        if not connection:
            c.close()
        kinds = {k.lower(): v for k, v in r.getheaders()}
        return r.status, json.loads(raw) if kinds.get("content-type", "").startswith("application/json") else raw, kinds

    def logged(self, wanted=lambda entries: True):
        """The access log, once it is as wanted: a line is written after its answer has left. After ten seconds as it is."""
        def entries():
            with open(self.log) as f:
                return [json.loads(line) for line in f if line.endswith("\n")]

        return eventually(entries, wanted)

    def metrics(self, wanted=lambda text: True):
        """The text of /metrics, once it is as wanted; after ten seconds as it is."""
        return eventually(lambda: self.ask("/metrics")[1].decode(), wanted)


def eventually(read, wanted, seconds=10):
    """What read() returns as soon as wanted() holds for it, or at the end of the time."""
    end = time.monotonic() + seconds
    while True:
        value = read()
        if wanted(value) or time.monotonic() > end:
            return value
        time.sleep(0.02)


def read_response(s, first=b""):
    """One response from a socket: (status, headers, body, what came behind it)."""
    data = first
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            return (None, {}, data, b"")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    length = int(headers.get("content-length", 0))
    while len(rest) < length:
        more = s.recv(65536)
        assert more, "a response was cut"
        rest += more
    return int(lines[0].split()[1]), headers, rest[:length], rest[length:]


def is_closed(s, within=5):
    """Whether the server closes the connection; what it still sends is passed over."""
    s.settimeout(within)
    try:
        while s.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except (TimeoutError, socket.timeout):
        return False


def embed_cli(texts, *options, folder=None):
    """Vectors as `sextant embed` gives them, as the exact decimal numbers of its JSON."""
    with tempfile.TemporaryDirectory() as home:
        lines = "".join(json.dumps({"text": t}) + "\n" for t in texts)
        run = subprocess.run([program, "embed", "-m", folder or model, "-i", "-", "--input-format", "jsonl", "--format", "jsonl",
                              "--no-cache", *options], input=lines, capture_output=True, text=True, env=environment(home), timeout=120)
        assert run.returncode == 0, run.stderr
        return [json.loads(line)["embedding"] for line in run.stdout.splitlines()]


def run_tests(tests):
    """Runs functions whose names begin with test_, those that are named or all but those named as -test_..., and says how long each took."""
    wanted, left_out = [n for n in sys.argv[2:] if n[0] != "-"], [n[1:] for n in sys.argv[2:] if n[0] == "-"]
    for name, test in list(tests.items()):
        if name.startswith("test_") and name not in left_out and (not wanted or name in wanted):
            start = time.monotonic()
            test()
            print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
