"""litellm, as a library in front of an OpenAI-compatible server."""

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks a host of its maker's
import litellm

base, key, model, texts = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
reply = litellm.embedding(model=f"openai/{model}", api_base=base, api_key=key, input=texts)
try:
    litellm.embedding(model="openai/other", api_base=base, api_key=key, input=["x"], num_retries=0)
    refused = ""
except litellm.NotFoundError as error:
    refused = type(error).__name__
ranked = litellm.rerank(
    model=f"hosted_vllm/{model}", api_base=base, api_key=key, query=texts[0],
    documents=[texts[1], "It is warm and sunny."], top_n=1,
)  # fmt: skip
vectors = [one["embedding"] for one in reply.data]
best = [[one["index"], one["document"]["text"]] for one in ranked.results]
print(json.dumps({"vectors": vectors, "refused": refused, "best": best}))
