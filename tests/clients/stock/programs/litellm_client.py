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
vectors = [one["embedding"] for one in reply.data]
print(json.dumps({"vectors": vectors, "refused": refused}))
