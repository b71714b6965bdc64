// The official client for JavaScript.
import OpenAI from "openai";

const [baseURL, apiKey, model, ...input] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const reply = await client.embeddings.create({ model, input });
const floats = await client.embeddings.create({ model, input, encoding_format: "float" });
const models = [];
for await (const one of await client.models.list()) models.push(one.id);
const errors = {};
for (const [name, call] of Object.entries({
  model: () => client.embeddings.create({ model: "text-embedding-3-small", input: "x" }),
  key: () => new OpenAI({ baseURL, apiKey: "wrong-key", maxRetries: 0 }).models.list(),
})) {
  try {
    await call();
  } catch (error) {
    errors[name] = [error.constructor.name, error.status, error.code];
  }
}
console.log(
  JSON.stringify({
    vectors: reply.data.map((one) => one.embedding),
    floats: floats.data.map((one) => one.embedding),
    models,
    retrieved: (await client.models.retrieve(model)).id,
    errors,
  }),
);
