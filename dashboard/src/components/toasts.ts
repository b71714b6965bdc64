/** Short messages over the page. */

export interface Toast {
  id: number;
  tone: "error" | "info";
  title: string;
  text: string;
}

/** How long a toast stays, in milliseconds; the pointer or the focus on it keeps it longer. */
export const TOAST_MS = 9_000;
const MOST_AT_ONCE = 4;

type Listener = () => void;

let shown: readonly Toast[] = [];
let lastId = 0;
const listeners = new Set<Listener>();

function set(toasts: readonly Toast[]): void {
  shown = toasts;
  for (const listener of listeners) listener();
}

/** Show a message; an equal one that is still shown is replaced. */
export function showToast(tone: Toast["tone"], title: string, text: string): void {
  lastId += 1;
  const others = shown.filter((toast) => toast.title !== title || toast.text !== text);
  set([...others, { id: lastId, tone, title, text }].slice(-MOST_AT_ONCE));
}

/** Take a message away. */
export function dismissToast(id: number): void {
  set(shown.filter((toast) => toast.id !== id));
}

/** Return what is shown, oldest first. */
export function currentToasts(): readonly Toast[] {
  return shown;
}

/** Call `listener` after every change. */
export function subscribeToasts(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
