"""Pure ASGI middleware, outermost first: context, target, authentication, body limit."""
