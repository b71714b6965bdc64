"""Pure ASGI middleware, outermost first: context, target, host, CORS, authentication, body limit."""
