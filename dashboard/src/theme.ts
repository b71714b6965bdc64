/** Light and dark: as the system says until a person chooses, then as chosen, also next time. */

export type Theme = "light" | "dark";

const STORAGE = "pentad.theme";
const listeners = new Set<() => void>();

function chosen(): Theme | null {
  const value = document.documentElement.dataset.theme;
  return value === "light" || value === "dark" ? value : null;
}

function system(): MediaQueryList | null {
  return typeof window.matchMedia === "function"
    ? window.matchMedia("(prefers-color-scheme: dark)")
    : null;
}

/** Return the theme that is shown. */
export function currentTheme(): Theme {
  return chosen() ?? (system()?.matches ? "dark" : "light");
}

/** Call `listener` whenever the theme changes, by a person or by the system. */
export function subscribeTheme(listener: () => void): () => void {
  const media = system();
  listeners.add(listener);
  media?.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    media?.removeEventListener("change", listener);
  };
}

/** Show `theme` now and in later visits. */
export function setTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(STORAGE, theme);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
  for (const listener of listeners) listener();
}

/** Apply the choice of an earlier visit; called before the first paint. */
export function restoreTheme(): void {
  try {
    const theme = localStorage.getItem(STORAGE);
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is forbidden: the system decides.
  }
}
