import { isClip } from "../../api/chat";
import { Card } from "../../components/Card";
import { number } from "../../format";
import type { Exchange } from "./useChat";
import { useObjectUrl } from "./useObjectUrl";

/** A question with its file, and the answer, which grows while it is generated. */
export function ExchangeCard({ exchange, busy }: { exchange: Exchange; busy: boolean }) {
  const { question, reply } = exchange;
  const { reasoning, content, finishReason, usage } = reply;
  return (
    <Card title={question.text} className="exchange">
      {question.file && <Media file={question.file} />}
      {reasoning && (
        <details>
          <summary>Thinking</summary>
          <p className="quiet">{reasoning}</p>
        </details>
      )}
      <div className="chat-answer" role="status" aria-busy={busy}>
        {content || (busy ? (reasoning ? "Thinking…" : "Waiting…") : "No answer.")}
      </div>
      {finishReason === "length" && <p className="quiet">The limit of tokens cut it off.</p>}
      {usage && (
        <p className="quiet small">
          {number(usage.prompt_tokens)} tokens read, {number(usage.completion_tokens)} generated,{" "}
          {number(usage.completion_tokens_details.reasoning_tokens)} of them thinking
        </p>
      )}
    </Card>
  );
}

/** A picture or clip from the disk. */
export function Media({ file }: { file: File }) {
  const url = useObjectUrl(file);
  if (!url) return null;
  return isClip(file) ? (
    // biome-ignore lint/a11y/useMediaCaption: a person's own clip, which nobody has captioned
    <video className="chat-media" src={url} controls playsInline aria-label={file.name} />
  ) : (
    <img className="chat-media" src={url} alt={file.name} />
  );
}
