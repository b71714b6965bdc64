import { type ReactNode, useSyncExternalStore } from "react";
import { keys } from "../api/keys";
import { useTheme } from "../hooks/useTheme";
import type { Page } from "../pages/registry";
import { Icon } from "./Icon";

interface ShellProps {
  pages: readonly Page[];
  current: Page;
  children: ReactNode;
}

/** The frame around every page: a side bar, or a bar at the top where there is little room. */
export function Shell({ pages, current, children }: ShellProps) {
  return (
    <div className="shell">
      <button
        type="button"
        className="skip-link"
        onClick={() => document.getElementById("main")?.focus()}
      >
        Skip to content
      </button>
      <header className="sidebar">
        <div className="brand">
          <img src="/favicon.svg" alt="" width={28} height={28} />
          <span>Pentad</span>
        </div>
        <nav aria-label="Pages">
          {pages.map((page) => (
            <a
              key={page.path}
              href={`#/${page.path}`}
              aria-current={page === current ? "page" : undefined}
            >
              <Icon name={page.icon} />
              {page.title}
            </a>
          ))}
        </nav>
        <div className="sidebar-tools">
          <KeyButton />
          <ThemeButton />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function KeyButton() {
  const { key } = useSyncExternalStore(keys.subscribe, keys.snapshot);
  return (
    <button type="button" className="tool" onClick={() => keys.open()}>
      <Icon name="key" />
      <span>{key === null ? "Enter key" : "Key in use"}</span>
    </button>
  );
}

function ThemeButton() {
  const [theme, toggle] = useTheme();
  const other = theme === "dark" ? "light" : "dark";
  return (
    <button type="button" className="tool" aria-label={`Switch to ${other} theme`} onClick={toggle}>
      <Icon name={theme === "dark" ? "sun" : "moon"} />
      <span>{other === "dark" ? "Dark" : "Light"}</span>
    </button>
  );
}
