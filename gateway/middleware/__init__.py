"""Pure ASGI middleware, outermost first: context, host, CORS, authentication, body limit."""
