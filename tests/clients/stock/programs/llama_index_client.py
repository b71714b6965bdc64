"""LlamaIndex's embeddings."""

import json
import sys

from llama_index.embeddings.openai import OpenAIEmbedding

base, key, model, texts = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
client = OpenAIEmbedding(api_base=base, api_key=key, model_name=model, max_retries=0)
query = client.get_query_embedding(texts[0])
print(json.dumps({"vectors": client.get_text_embedding_batch(texts), "query": query}))
