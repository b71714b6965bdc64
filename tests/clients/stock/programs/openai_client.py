"""The official client: every way it can ask for embeddings, and its errors."""

import json
import sys

import openai

base, key, model, texts = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
client = openai.OpenAI(base_url=base, api_key=key, max_retries=0)
plain = client.embeddings.create(model=model, input=texts)  # base64 on the wire
floats = client.embeddings.create(model=model, input=texts, encoding_format="float", user="u")
errors = {}
for name, call in {
    "model": lambda: client.embeddings.create(model="text-embedding-3-small", input="x"),
    "retrieve": lambda: client.models.retrieve("text-embedding-3-small"),
    "input": lambda: client.embeddings.create(model=model, input=[]),
    "dimensions": lambda: client.embeddings.create(model=model, input="x", dimensions=3),
    "key": lambda: client.with_options(api_key="wrong-key").models.list(),
    "path": lambda: client.completions.create(model=model, prompt="x"),
}.items():
    try:
        call()
    except openai.APIStatusError as error:
        errors[name] = [type(error).__name__, error.status_code, error.code, error.param]
print(
    json.dumps(
        {
            "vectors": [one.embedding for one in plain.data],
            "floats": [one.embedding for one in floats.data],
            "tokens": plain.usage.total_tokens,
            "models": [one.id for one in client.models.list()],
            "retrieved": client.models.retrieve(model).id,
            "errors": errors,
        }
    )
)
