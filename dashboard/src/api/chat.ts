/** Chat with the vision-language model: `/v1/chat/completions` as a stream. */

import { encodeBase64 } from "./base64";
import { answered } from "./client";
import { ApiError, detailText } from "./errors";
import { serverEvents } from "./events";
import type { ChatMessage, ChatUsage } from "./types";

/** One turn, as the page keeps it. */
export interface Turn {
  role: "user" | "assistant";
  text: string;
  /** A picture or clip, of a user's turn. */
  file?: File | null;
}

/** What a stream has told since the piece before. */
export interface ChatPiece {
  reasoning?: string;
  content?: string;
  /** `stop` or `length`, in the last piece. */
  finishReason?: string;
  /** Tokens, after the last piece. */
  usage?: ChatUsage;
}

/** One event's data; of an error, that alone. */
interface Chunk {
  error?: { message: string };
  choices?: { delta: ChatPiece; finish_reason: string | null }[];
  usage?: ChatUsage | null;
}

/**
 * Ask for the next turn of a conversation.
 *
 * @returns The pieces of the answer as they are generated.
 * @throws {ApiError} 400 for a file that cannot be read, 503 while the model is away; also within
 *   the stream.
 */
export async function* chat(
  turns: readonly Turn[],
  signal: AbortSignal,
): AsyncGenerator<ChatPiece> {
  const body = JSON.stringify({
    model: "vlm",
    messages: await Promise.all(turns.map(message)),
    stream: true,
    stream_options: { include_usage: true },
  });
  signal.throwIfAborted();
  const response = await answered({
    path: "/v1/chat/completions",
    body,
    accept: "text/event-stream",
    person: true,
    endless: true,
    signal,
  });
  let done = false;
  if (response.body) {
    for await (const { data } of serverEvents(response.body)) {
      if (data === "[DONE]") done = true;
      else yield* pieces(JSON.parse(data) as Chunk);
    }
  }
  if (!done) throw new ApiError(0, "The answer broke off.");
}

function* pieces({ error, choices = [], usage }: Chunk): Generator<ChatPiece> {
  if (error) throw new ApiError(500, detailText(error.message, 500));
  for (const { delta, finish_reason } of choices) {
    yield finish_reason ? { ...delta, finishReason: finish_reason } : delta;
  }
  if (usage) yield { usage };
}

async function message({ role, text, file }: Turn): Promise<ChatMessage> {
  if (!file) return { role, content: text };
  const url = `data:${file.type || "application/octet-stream"};base64,${await encodeBase64(file)}`;
  const media = isClip(file)
    ? ({ type: "video_url", video_url: { url } } as const)
    : ({ type: "image_url", image_url: { url } } as const);
  return { role, content: [media, { type: "text", text }] };
}

/** Whether a file is a clip rather than a picture, by its type or name. */
export function isClip({ type, name }: File): boolean {
  return type.startsWith("video/") || /\.(mp4|mov|3gp|webm)$/i.test(name);
}
