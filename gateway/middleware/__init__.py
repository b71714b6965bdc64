"""Pure ASGI middleware, outermost first: context, authentication, body limit."""
