import { type FormEvent, useEffect, useId, useRef, useSyncExternalStore } from "react";
import { keys } from "../api/keys";

/** Asks for the API key when the server wants one, or when a person wants to change it. */
export function KeyDialog() {
  const { key, open, rejected } = useSyncExternalStore(keys.subscribe, keys.snapshot);
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const [title, hint] = [useId(), useId()];

  useEffect(() => {
    const element = dialog.current;
    if (!element) return;
    if (open && !element.open) {
      element.showModal();
      input.current?.focus();
    }
    if (!open && element.open) element.close();
  }, [open]);

  useEffect(() => {
    if (open && rejected) input.current?.select();
  }, [open, rejected]);

  function submit(event: FormEvent) {
    event.preventDefault();
    const value = input.current?.value.trim();
    if (!value || !input.current) return;
    input.current.value = "";
    keys.submit(value);
  }

  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={title} onCancel={() => keys.dismiss()}>
      <form onSubmit={submit}>
        <h2 id={title}>API key</h2>
        <p id={hint}>This server asks for a key. It is kept for this browser tab only.</p>
        <label>
          <span>Key</span>
          <input
            ref={input}
            type="password"
            autoComplete="off"
            spellCheck={false}
            aria-describedby={hint}
            aria-invalid={rejected}
            required
          />
        </label>
        <p className="dialog-error" role="alert">
          {rejected && "The server did not accept this key."}
        </p>
        <div className="dialog-actions">
          {key !== null && (
            <button type="button" className="button" onClick={() => keys.forget()}>
              Forget key
            </button>
          )}
          <button type="button" className="button" onClick={() => keys.dismiss()}>
            Cancel
          </button>
          <button type="submit" className="button button-primary">
            Use key
          </button>
        </div>
      </form>
    </dialog>
  );
}
