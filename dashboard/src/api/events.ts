/** Server-Sent Events through fetch: EventSource cannot send a key in a header. */

export interface ServerEvent {
  /** `message` where the server names none. */
  event: string;
  data: string;
}

/** Read events as they arrive; comments, such as heartbeats, are left out. */
export async function* serverEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void = () => {},
): AsyncGenerator<ServerEvent> {
  let [event, data]: [string, string[]] = ["message", []];
  for await (const line of lines(body, onBytes)) {
    if (line === "") {
      if (data.length) yield { event, data: data.join("\n") };
      [event, data] = ["message", []];
      continue;
    }
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
    if (name === "event") event = value ?? "";
    if (name === "data") data.push(value ?? "");
  }
}

async function* lines(body: ReadableStream<Uint8Array>, onBytes: () => void) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split(/\r\n|\n/);
      rest = parts.pop() ?? "";
      yield* parts;
    }
  } finally {
    await reader.cancel().catch(() => {}); // it may have failed already
  }
}
