"""fastapi_service.py MODEL-FOLDER PORT: the small embedding service that people write by hand (FastAPI, sentence-transformers, one worker of uvicorn), as a
peer for load_server.py. Needs fastapi, uvicorn and sentence-transformers."""
import sys
from typing import List

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

app = FastAPI()
model = SentenceTransformer(sys.argv[1], device="cpu")


class Texts(BaseModel):
    texts: List[str]
    batch_size: int = 64


class Vectors(BaseModel):
    embeddings: List[List[float]]
    model: str
    dimension: int


@app.post("/embed", response_model=Vectors)
async def embed(body: Texts):
    rows = model.encode(body.texts, batch_size=body.batch_size, show_progress_bar=False, normalize_embeddings=True, convert_to_numpy=True)
    return Vectors(embeddings=rows.tolist(), model="minilm", dimension=rows.shape[1])


@app.get("/health")
async def health():
    return {"status": "healthy"}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
