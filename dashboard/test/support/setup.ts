import "@testing-library/jest-dom/vitest";
import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach, vi } from "vitest";
import { keys } from "../../src/api/keys";
import { currentToasts, dismissToast } from "../../src/components/toasts";

// Only a test that fails waits for so long; a page may be slow on a busy machine.
configure({ asyncUtilTimeout: 10_000 });

beforeEach(() => {
  keys.forget();
  sessionStorage.clear();
  localStorage.clear();
  delete document.documentElement.dataset.theme;
  // What jsdom lacks: previews, modal dialogs, and a layout that charts could measure.
  URL.createObjectURL = vi.fn(() => `blob:${crypto.randomUUID()}`);
  URL.revokeObjectURL = vi.fn();
  Element.prototype.scrollIntoView = vi.fn();
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
  };
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
});

afterEach(() => {
  cleanup();
  for (const toast of currentToasts()) dismissToast(toast.id);
  window.location.hash = "";
});
