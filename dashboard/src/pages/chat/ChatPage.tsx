import { type FormEvent, useCallback, useState } from "react";
import { isClip } from "../../api/chat";
import { DropZone } from "../../components/DropZone";
import { EmptyState } from "../../components/Notice";
import { SampleButton } from "../../components/SampleButton";
import { showToast } from "../../components/toasts";
import { number } from "../../format";
import { ExchangeCard, Media } from "./ExchangeCard";
import { useChat } from "./useChat";

/** Largest picture and clip in bytes, the gateway's defaults. */
const MOST = { picture: 16 * 2 ** 20, clip: 32 * 2 ** 20 };

/** Talk with the vision-language model, about a picture or a clip where there is one. */
export default function ChatPage() {
  const { exchanges, busy, ask, stop, clear } = useChat();
  const [text, setText] = useState("");
  const [file, setFile] = useState<File | null>(null);
  const choose = useCallback(([chosen]: readonly File[]) => {
    if (!chosen) return;
    const most = isClip(chosen) ? MOST.clip : MOST.picture;
    if (chosen.size <= most) return setFile(chosen);
    const words = `${chosen.name} is too large: ${number(most / 2 ** 20)} MiB are the most.`;
    showToast("error", "Chat", words);
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const question = text.trim();
    if (!question || busy) return;
    setText("");
    setFile(null);
    void ask({ role: "user", text: question, file });
  };
  return (
    <>
      <p className="lead">
        Questions go to the vision-language model of this server; nothing is stored.
      </p>
      <DropZone
        onFiles={choose}
        title="Choose a picture or a clip"
        hint="or drop it here. The question may also stand alone."
        accept="image/*,video/mp4,video/quicktime,video/3gpp,video/webm,.mp4,.mov,.3gp,.webm"
      />
      <p className="sample">
        <SampleButton samples={["chelsea.jpg"]} onFiles={choose} kind="picture" />
        <SampleButton samples={["clip.mp4"]} onFiles={choose} kind="clip" />
      </p>
      {file && <Media file={file} />}
      <form className="chat-form" onSubmit={submit}>
        <label>
          Question
          <textarea value={text} rows={2} onChange={(event) => setText(event.target.value)} />
        </label>
        <div className="clip-actions">
          <button type="submit" className="button button-primary" disabled={busy || !text.trim()}>
            Ask
          </button>
          {busy && (
            <button type="button" className="button" onClick={stop}>
              Stop
            </button>
          )}
          {exchanges.length > 0 && (
            <button type="button" className="button" onClick={clear}>
              New conversation
            </button>
          )}
        </div>
      </form>
      <div className="exchanges">
        {exchanges.length === 0 && <EmptyState icon="chat">Answers appear here.</EmptyState>}
        {exchanges.map((exchange, place) => (
          <ExchangeCard
            key={exchange.id}
            exchange={exchange}
            busy={busy && place === exchanges.length - 1}
          />
        ))}
      </div>
    </>
  );
}
