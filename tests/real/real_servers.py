"""real_servers.py - embedding servers that others wrote, for tests: Infinity (torch) and LiteLLM's proxy, out of their Python packages
(scripts/install-python-packages infinity litellm), on loopback, on free ports.

Both are told to ask nobody on the internet for anything.
"""
import filecmp
import os
import secrets
import sys
import urllib.error
import urllib.request

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here + "/../caches")
from servers import Server  # noqa: E402

SKIPPED = 77


def packages(group):
    """The folder of a group of Python packages; without them the test is skipped, aloud."""
    root = os.path.join(here, "..", "..")
    folder, listed = os.path.join(root, "build", "python-" + group), os.path.join(root, "scripts", "requirements", group + ".txt")
    installed = os.path.join(folder, "requirements.txt")
    if not os.path.exists(installed) or not filecmp.cmp(listed, installed, shallow=False):
        print("SKIP: the packages of scripts/requirements/%s.txt are not installed (scripts/install-python-packages %s)" % (group, group))
        sys.exit(SKIPPED)
    return folder


class HttpServer(Server):
    seconds_to_start = 400  # torch is large, and the machine may be busy

    def answers(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.port, self.health), timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    def restart(self):
        self.kill()
        self.start()


class Infinity(HttpServer):
    health = "/health"

    def __init__(self, model, name):
        """model: a sentence-transformers folder, served under the name."""
        self.packages, self.model, self.name = packages("infinity"), model, name
        super().__init__()
        self.start()

    def start(self):
        self.launch([sys.executable, "-c", "from infinity_emb.cli import cli; cli()", "v2", "--model-id", self.model, "--served-model-name",
                     self.name, "--engine", "torch", "--device", "cpu", "--no-bettertransformer", "--no-model-warmup", "--host", "127.0.0.1",
                     "--port", str(self.port), "--url-prefix", "/v1"],
                    env=dict(os.environ, PYTHONPATH=self.packages, HF_HUB_OFFLINE="1", DO_NOT_TRACK="1", INFINITY_ANONYMOUS_USAGE_STATS="0",
                             HOME=self.folder, OMP_NUM_THREADS="2"))

    def model_of(self):
        return "openai@http://127.0.0.1:%d/v1#%s" % (self.port, self.name)

    def embeddings_asked(self):
        """Requests for vectors that it answered, by its own count."""
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.port, timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines
                       if line.startswith("http_requests_total{") and '/embeddings"' in line and 'status="2xx"' in line))


class LiteLLM(HttpServer):
    """The proxy before a service that speaks OpenAI's form. `key` is the one that it wants of its clients."""
    health = "/health/liveliness"

    def __init__(self, behind, name):
        self.packages, self.name, self.key = packages("litellm"), name, "sk-" + secrets.token_hex(24)
        super().__init__()
        with open(self.folder + "/config.yaml", "w") as file:
            file.write("model_list:\n  - model_name: %s\n    litellm_params: {model: openai/%s, api_base: '%s', api_key: none}\n"
                       "litellm_settings: {telemetry: false, num_retries: 0}\n" % (name, name, behind))
        self.start()

    def start(self):
        self.launch([sys.executable, "-c", "from litellm.proxy.proxy_cli import run_server; run_server()", "--config",
                     self.folder + "/config.yaml", "--host", "127.0.0.1", "--port", str(self.port)],
                    env=dict(os.environ, PYTHONPATH=self.packages, LITELLM_MASTER_KEY=self.key, LITELLM_LOCAL_MODEL_COST_MAP="True",
                             DO_NOT_TRACK="1", HOME=self.folder, no_proxy="127.0.0.1"))

    def model_of(self):
        return "openai@http://127.0.0.1:%d/v1#%s" % (self.port, self.name)
