import { useCallback, useEffect, useRef, useState } from "react";
import { type ChatPiece, chat, type Turn } from "../../api/chat";
import { errorText } from "../../api/errors";
import type { ChatUsage } from "../../api/types";
import { showToast } from "../../components/toasts";

/** An answer while it is generated and afterwards. */
export interface Reply {
  reasoning: string;
  content: string;
  finishReason: string | null;
  usage: ChatUsage | null;
}

/** A question and what the model said to it. */
export interface Exchange {
  id: number;
  question: Turn;
  reply: Reply;
}

const NOTHING: Reply = { reasoning: "", content: "", finishReason: null, usage: null };

export interface ChatState {
  exchanges: readonly Exchange[];
  busy: boolean;
  ask: (question: Turn) => Promise<void>;
  stop: () => void;
  clear: () => void;
}

/** Keeps a conversation; a question that fails goes away again. */
export function useChat(): ChatState {
  const [exchanges, setExchanges] = useState<readonly Exchange[]>([]);
  const [busy, setBusy] = useState(false);
  const request = useRef<AbortController | null>(null);
  useEffect(() => () => request.current?.abort(), []);

  const stop = useCallback(() => {
    request.current?.abort();
    setBusy(false);
  }, []);

  const clear = useCallback(() => {
    stop();
    setExchanges([]);
  }, [stop]);

  const ask = useCallback(
    async (question: Turn) => {
      request.current?.abort();
      const controller = new AbortController();
      request.current = controller;
      const id = (exchanges.at(-1)?.id ?? 0) + 1;
      const change = (reply: Reply) =>
        setExchanges((all) => all.map((one) => (one.id === id ? { ...one, reply } : one)));
      setBusy(true);
      setExchanges([...exchanges, { id, question, reply: NOTHING }]);
      let reply = NOTHING;
      try {
        for await (const piece of chat([...turns(exchanges), question], controller.signal)) {
          reply = added(reply, piece);
          change(reply);
        }
      } catch (error) {
        if (!controller.signal.aborted) showToast("error", "No answer", errorText(error));
        if (!reply.content) setExchanges((all) => all.filter((one) => one.id !== id));
      } finally {
        if (request.current === controller) setBusy(false);
      }
    },
    [exchanges],
  );
  return { exchanges, busy, ask, stop, clear };
}

/** The conversation so far; the thinking is not told again. */
function turns(exchanges: readonly Exchange[]): Turn[] {
  return exchanges.flatMap(({ question, reply }) => [
    question,
    { role: "assistant", text: reply.content } as const,
  ]);
}

function added(reply: Reply, piece: ChatPiece): Reply {
  return {
    reasoning: reply.reasoning + (piece.reasoning ?? ""),
    content: reply.content + (piece.content ?? ""),
    finishReason: piece.finishReason ?? reply.finishReason,
    usage: piece.usage ?? reply.usage,
  };
}
