// Node's fetch, undici's request and axios: a plain call, a form, and an early answer to a large body.
import axios from "axios";
import { request } from "undici";

const [text, vision, key] = process.argv.slice(2);
const json = { "Content-Type": "application/json", "X-API-Key": key };
const form = (bytes) => {
  const parts = new FormData();
  parts.append("file", new Blob([new Uint8Array(bytes)]), "a.jpg");
  return parts;
};
const body = JSON.stringify({ texts: ["hello"] });
const large = JSON.stringify({ texts: ["x".repeat(25e6)] });
const clients = {
  fetch: async (url, content, headers) =>
    (await fetch(url, { method: "POST", body: content, headers })).status,
  undici: async (url, content, headers) => {
    const reply = await request(url, { method: "POST", body: content, headers });
    await reply.body.dump();
    return reply.statusCode;
  },
  axios: async (url, content, headers) =>
    (await axios.post(url, content, { headers, validateStatus: null, maxBodyLength: Infinity }))
      .status,
};
const found = {};
for (const [name, send] of Object.entries(clients)) {
  const seen = { plain: await send(`${text}/embed`, body, json) };
  seen.noKey = await send(`${text}/embed`, body, { "Content-Type": "application/json" });
  seen.form = await send(`${vision}/infer`, form(1000), {}); // no picture: 400
  seen.large = [];
  for (let round = 0; round < 12; round++) {
    seen.large.push(
      await send(`${text}/embed`, large, json).catch((error) => String(error.cause ?? error)),
      await send(`${vision}/infer`, form(40e6), {}).catch((error) => String(error.cause ?? error)),
    );
  }
  found[name] = seen;
}
console.log(JSON.stringify(found));
