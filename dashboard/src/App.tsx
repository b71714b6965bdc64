import { Component, type ReactNode, Suspense, useEffect, useRef } from "react";
import { KeyDialog } from "./components/KeyDialog";
import { EmptyState, Skeleton } from "./components/Notice";
import { Shell } from "./components/Shell";
import { Toasts } from "./components/Toasts";
import { useRoute } from "./hooks/useRoute";
import { useServiceNames } from "./hooks/useServiceNames";
import { isUsable, PAGES } from "./pages/registry";

/** The console: navigation, the page the address names, messages and the key dialog. */
export function App() {
  const route = useRoute();
  const services = useServiceNames(route);
  const pages = PAGES.filter((candidate) => isUsable(candidate, services));
  const page = PAGES.find((candidate) => candidate.path === route) ?? pages[0] ?? PAGES[0];
  const heading = useRef<HTMLHeadingElement>(null);
  const previous = useRef(page.path);

  useEffect(() => {
    document.title = `${page.title} · Pentad`;
    // After a change of page the keyboard goes on from its heading; the first page keeps the top.
    if (previous.current !== page.path) heading.current?.focus();
    previous.current = page.path;
  }, [page]);

  return (
    <>
      <Shell pages={pages} current={page}>
        <h1 ref={heading} tabIndex={-1}>
          {page.title}
        </h1>
        <Boundary key={page.path}>
          <Suspense fallback={<Skeleton height={320} label={`Loading ${page.title}`} />}>
            {isUsable(page, services) ? (
              <page.component />
            ) : (
              <EmptyState icon={page.icon}>
                This server does not run the service “{page.service}”: it is not among the services
                of its configuration.
              </EmptyState>
            )}
          </Suspense>
        </Boundary>
      </Shell>
      <Toasts />
      <KeyDialog />
    </>
  );
}

/** Keeps the navigation usable when a page breaks, for example after an update of the server. */
class Boundary extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return (
      <div className="failure" role="alert">
        <p>This page could not be shown. The server may have been updated.</p>
        <button type="button" className="button" onClick={() => window.location.reload()}>
          Reload
        </button>
      </div>
    );
  }
}
