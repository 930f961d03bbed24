#!/usr/bin/env python3
"""test_clients.py SEXTANT [TEST...]: the clients that people use, unchanged: each gets the vectors that `sextant embed` gives. Their packages
(scripts/requirements/clients.txt) are installed where they are not there."""
import asyncio
import os
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
installer = os.path.join(here, "..", "..", "scripts", "install-python-packages")
sys.path.insert(0, subprocess.run([installer, "clients"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())

from serving import Server, embed_cli, families, model, run_tests

TEXTS = ["The boats came in with the tide.", "Bread rises because yeast gives off gas.", "naïve café, 東京"]
ranker = os.path.join(families, "cross-bert")


def close(got, want):
    assert len(got) == len(want) and all(len(g) == len(w) for g, w in zip(got, want))
    worst = max(abs(float(a) - float(b)) for g, w in zip(got, want) for a, b in zip(g, w))
    assert worst < 1e-6, worst


def serving():
    return Server(models=("minilm=" + model, "ranker=" + ranker))


def test_openai():
    import openai
    want = embed_cli(TEXTS)
    with serving() as s:
        where = {"base_url": f"http://127.0.0.1:{s.port}/v1", "api_key": "none", "max_retries": 0}
        client = openai.OpenAI(**where)
        for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
            answer = client.embeddings.create(model="minilm", input=TEXTS, **options)
            if options.get("encoding_format") != "base64":
                close([d.embedding for d in answer.data], want)
            assert answer.usage.prompt_tokens > 10
        close([client.embeddings.create(model="minilm", input=TEXTS[0]).data[0].embedding], want[:1])
        assert {m.id for m in client.models.list()} == {"minilm", "ranker"}

        async def later():
            async with openai.AsyncOpenAI(**where) as other:
                answers = await asyncio.gather(*(other.embeddings.create(model="minilm", input=t) for t in TEXTS))
                return [a.data[0].embedding for a in answers]

        close(asyncio.run(later()), want)
        try:
            client.embeddings.create(model="minilm", input=[[101, 7592, 102]])
            raise AssertionError("token ids were taken")
        except openai.BadRequestError as e:
            assert "--token-ids" in str(e)
        try:
            client.embeddings.create(model="nobody", input="a")
            raise AssertionError("an unknown model answered")
        except openai.NotFoundError as e:
            assert e.code == "model_not_found"
        azure = openai.AzureOpenAI(azure_endpoint=f"http://127.0.0.1:{s.port}", api_key="none", api_version="2024-02-01", max_retries=0)
        close([azure.embeddings.create(model="minilm", input=TEXTS[0]).data[0].embedding], want[:1])


def test_ollama():
    import ollama
    want = embed_cli(TEXTS)
    with serving() as s:
        client = ollama.Client(host=f"http://127.0.0.1:{s.port}")
        close(client.embed(model="minilm", input=TEXTS).embeddings, want)
        close([client.embeddings(model="minilm", prompt=TEXTS[0]).embedding], want[:1])
        assert "minilm" in {m.model.split(":")[0] for m in client.list().models}
        try:
            client.embed(model="nobody", input="a")
            raise AssertionError("an unknown model answered")
        except ollama.ResponseError as e:
            assert e.status_code == 404


def test_huggingface():
    from huggingface_hub import InferenceClient
    want = embed_cli(TEXTS)
    with serving() as s:
        client = InferenceClient(f"http://127.0.0.1:{s.port}")
        for text, vector in zip(TEXTS, want):
            got = client.feature_extraction(text)
            close(got if got.ndim == 2 else [got], [vector])
        close(client.feature_extraction(TEXTS[0], normalize=True, truncate=True), want[:1])
        scores = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])
        dots = [sum(a * b for a, b in zip(want[0], other)) for other in want[1:]]
        assert len(scores) == 2 and all(abs(a - b) < 1e-5 for a, b in zip(scores, dots)), (scores, dots)


def test_cohere():
    import cohere
    want = embed_cli(TEXTS)
    with serving() as s:
        where = {"api_key": "none", "base_url": f"http://127.0.0.1:{s.port}"}
        for client in (cohere.Client(**where), cohere.ClientV2(**where)):
            answer = client.embed(model="minilm", texts=TEXTS, input_type="search_document", embedding_types=["float", "int8"])
            close(answer.embeddings.float_ if hasattr(answer.embeddings, "float_") else answer.embeddings.float, want)
            ranked = client.rerank(model="ranker", query="tides and boats", documents=TEXTS, top_n=2)
            assert len(ranked.results) == 2 and ranked.results[0].relevance_score >= ranked.results[1].relevance_score


run_tests(globals())
