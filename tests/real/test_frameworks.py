"""What LangChain, LlamaIndex and Chroma send to the server, unchanged: each gets the vectors that `sextant embed` gives (scripts/install-python-packages frameworks).

    test_frameworks.py SEXTANT

LangChain's default sends OpenAI's token ids (cl100k), which the server turns back into texts when it is told to.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from real_servers import packages

sys.path.insert(0, packages("frameworks"))
program = os.path.abspath(sys.argv[1])
here = os.path.dirname(os.path.abspath(__file__))
folder = subprocess.run([program, "models", "info", "minilm", "--json"], capture_output=True, text=True, check=True).stdout
os.environ["SX_TEST_MODEL"] = json.loads(folder)["folder"]
sys.path.insert(0, os.path.join(here, "..", "server"))
from serving import Server, embed_cli  # noqa: E402

TEXTS = ["The boats came in with the tide.", "Bread rises because yeast gives off gas.", "naïve café, 東京"]
# tiktoken looks for OpenAI's file under the SHA-1 of its address.
RANKS_NAME = hashlib.sha1(b"https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken").hexdigest()


def close(name, got, want):
    worst = max(abs(float(a) - float(b)) for g, w in zip(got, want) for a, b in zip(g, w))
    assert len(got) == len(want) and all(len(g) == len(w) for g, w in zip(got, want)) and worst < 1e-6, (name, worst)
    print("%s: largest difference %.1e" % (name, worst), flush=True)


def langchain(url, ids_url, want):
    from langchain_openai import OpenAIEmbeddings
    client = OpenAIEmbeddings(model="minilm", base_url=ids_url + "/v1", api_key="none", tiktoken_model_name="text-embedding-3-small")
    close("langchain-openai, token ids", client.embed_documents(TEXTS), want)
    close("langchain-openai, a query as token ids", [client.embed_query(TEXTS[0])], want[:1])
    client = OpenAIEmbeddings(model="minilm", base_url=url + "/v1", api_key="none", check_embedding_ctx_length=False)
    close("langchain-openai, texts", client.embed_documents(TEXTS), want)


def llama_index(url, want):
    from llama_index.embeddings.ollama import OllamaEmbedding
    from llama_index.embeddings.openai import OpenAIEmbedding
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
    for name, client in (("OpenAI", OpenAIEmbedding(model_name="minilm", api_base=url + "/v1", api_key="none")),
                         ("TEI", TextEmbeddingsInference(model_name="minilm", base_url=url)),
                         ("Ollama", OllamaEmbedding(model_name="minilm", base_url=url))):
        close("llama-index, " + name, client.get_text_embedding_batch(TEXTS), want)
        close("llama-index, a query to " + name, [client.get_query_embedding(TEXTS[0])], want[:1])


def chroma(url, want):
    from chromadb.utils import embedding_functions as functions
    for client in (functions.OpenAIEmbeddingFunction(api_base=url + "/v1", api_key="none", model_name="minilm"),
                   functions.OllamaEmbeddingFunction(url=url, model_name="minilm"),
                   functions.HuggingFaceEmbeddingServer(url=url + "/embed")):
        close("chromadb, " + type(client).__name__, client(TEXTS), want)


def main():
    ranks = os.path.join(os.path.dirname(os.environ["SX_TEST_MODEL"].rstrip("/")), "openai-ranks", "cl100k_base.tiktoken")
    if not os.path.exists(ranks):
        print("SKIP: OpenAI's ranks are not installed (scripts/install-openai-ranks)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as cache, Server() as texts, Server("--token-ids", "cl100k") as ids:
        shutil.copy(ranks, os.path.join(cache, RANKS_NAME))
        os.environ["TIKTOKEN_CACHE_DIR"] = cache
        urls = ["http://127.0.0.1:%d" % s.port for s in (texts, ids)]
        want = embed_cli(TEXTS)
        langchain(*urls, want)
        llama_index(urls[0], want)
        chroma(urls[0], want)


main()
