/** The API key of this tab and the one dialog that asks for it. */

const STORAGE = "pentad.api-key";

/** `open`: the dialog is shown; `rejected`: the key it had was not accepted. */
export interface KeyState {
  key: string | null;
  open: boolean;
  rejected: boolean;
}

type Listener = () => void;

/** Keeps the key in session storage: gone with the tab, never in a URL or a cookie. */
export class KeyStore {
  #state: KeyState = { key: read(), open: false, rejected: false };
  #listeners = new Set<Listener>();
  #waiting: ((key: string | null) => void)[] = [];
  #dismissed = false;

  readonly snapshot = (): KeyState => this.#state;

  readonly subscribe = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /**
   * Resolve to a key other than `refused`, or to null when the person closes the dialog.
   *
   * Callers that are refused together share one dialog. Once it was closed only an `insistent`
   * caller, one that a person set off, opens it again.
   */
  ask(refused: string | null, insistent: boolean): Promise<string | null> {
    const { key, open } = this.#state;
    if (key !== refused && key !== null) return Promise.resolve(key);
    if (!open && this.#dismissed && !insistent) return Promise.resolve(null);
    const answer = new Promise<string | null>((resolve) => this.#waiting.push(resolve));
    this.#set({ key, open: true, rejected: key !== null });
    return answer;
  }

  /** Show the dialog because a person wants to enter a key. */
  open(): void {
    this.#set({ ...this.#state, open: true, rejected: false });
  }

  /** Keep the key that was entered and let the waiting requests go on with it. */
  submit(key: string): void {
    this.#dismissed = false;
    write(key);
    this.#set({ key, open: false, rejected: false });
    this.#settle(key);
  }

  /** Close the dialog without a key. */
  dismiss(): void {
    this.#dismissed = true;
    this.#set({ ...this.#state, open: false, rejected: false });
    this.#settle(null);
  }

  /** Forget the key of this tab. */
  forget(): void {
    this.#dismissed = false;
    write(null);
    this.#set({ key: null, open: false, rejected: false });
    this.#settle(null);
  }

  #settle(key: string | null): void {
    for (const resolve of this.#waiting.splice(0)) resolve(key);
  }

  #set(state: KeyState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

// Storage can be forbidden (private modes); the key then lives as long as the page.
function read(): string | null {
  try {
    return sessionStorage.getItem(STORAGE);
  } catch {
    return null;
  }
}

function write(key: string | null): void {
  try {
    if (key === null) sessionStorage.removeItem(STORAGE);
    else sessionStorage.setItem(STORAGE, key);
  } catch {
    // Nothing to do: the store still holds it.
  }
}

export const keys = new KeyStore();
