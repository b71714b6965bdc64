"""Chat with a vision-language model, in the wire format of OpenAI."""
