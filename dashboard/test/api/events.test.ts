import { describe, expect, it, vi } from "vitest";
import { type ServerEvent, serverEvents } from "../../src/api/events";

/** What is read of a stream that arrives in these pieces. */
async function read(...pieces: (string | Uint8Array)[]): Promise<ServerEvent[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces)
        controller.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
      controller.close();
    },
  });
  const events: ServerEvent[] = [];
  for await (const event of serverEvents(body)) events.push(event);
  return events;
}

describe("serverEvents", () => {
  it("reads names and data, whatever the line ends are", async () => {
    const expected = [
      { event: "progress", data: "1" },
      { event: "message", data: "2" },
    ];
    expect(await read("event: progress\ndata: 1\n\ndata:2\n\n")).toEqual(expected);
    expect(await read("event: progress\r\ndata: 1\r\n\r\ndata:2\r\n\r\n")).toEqual(expected);
  });

  it("leaves out comments, fields of no use, and what has not ended", async () => {
    expect(await read(": heartbeat\n\nid: 7\nretry: 5\ndata: x\n\ndata: torn")).toEqual([
      { event: "message", data: "x" },
    ]);
  });

  it("joins several lines of data", async () => {
    expect(await read("data: a\ndata:\ndata: b: c\n\n")).toEqual([
      { event: "message", data: "a\n\nb: c" },
    ]);
  });

  it("does not mind where pieces are cut", async () => {
    const whole = new TextEncoder().encode("event: progress\ndata: Größe €\n\n");
    const bytes = [...whole].map((byte) => Uint8Array.of(byte));
    expect(await read(...bytes)).toEqual([{ event: "progress", data: "Größe €" }]);
  });

  it("tells of every sign of life and lets the stream go", async () => {
    const cancel = vi.fn();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(": hello\n\ndata: 1\n\n")),
      cancel,
    });
    const heard = vi.fn();
    for await (const _ of serverEvents(body, heard)) break;
    expect(heard).toHaveBeenCalledOnce();
    expect(cancel).toHaveBeenCalledOnce();
  });
});
