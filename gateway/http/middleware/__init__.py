"""Pure ASGI middleware, outermost first: context, target, host, CORS, keys, body limit."""
