"""LangChain's embeddings."""

import json
import sys

from langchain_openai import OpenAIEmbeddings

base, key, model, texts = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
# By default it sends OpenAI's token numbers, which mean nothing to another model.
client = OpenAIEmbeddings(
    base_url=base, api_key=key, model=model, check_embedding_ctx_length=False, max_retries=0
)
query = client.embed_query(texts[0])
print(json.dumps({"vectors": client.embed_documents(texts), "query": query}))
