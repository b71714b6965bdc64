import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { App } from "../src/App";
import { keys } from "../src/api/keys";
import { showToast, TOAST_MS } from "../src/components/toasts";
import { PAGES } from "../src/pages/registry";
import { json, service, servicesReport, stubApi, stubRoutes } from "./support/api";

afterEach(() => {
  vi.useRealTimers();
});

describe("navigation", () => {
  it("has every page, each with its own address", () => {
    stubRoutes({});
    render(<App />);
    const links = within(screen.getByRole("navigation", { name: "Pages" })).getAllByRole("link");
    expect(links.map((link) => link.getAttribute("href"))).toEqual(
      PAGES.map(({ path }) => `#/${path}`),
    );
    expect(new Set(PAGES.map(({ path }) => path)).size).toBe(PAGES.length);
  });

  it("opens the first page where the address names none", async () => {
    stubRoutes({});
    window.location.hash = "#/nonsense";
    render(<App />);
    expect(screen.getByRole("heading", { level: 1 })).toHaveTextContent("Classify");
    expect(document.title).toBe("Classify · Pentad");
  });

  it("moves the focus to the heading of the new page", async () => {
    stubRoutes({ "/services": servicesReport([service()]) });
    render(<App />);
    expect(document.body).toHaveFocus();
    act(() => {
      window.location.hash = "#/services";
    });
    const heading = await screen.findByRole("heading", { level: 1, name: "Services" });
    await waitFor(() => expect(heading).toHaveFocus());
    expect(screen.getByRole("link", { name: "Services" })).toHaveAttribute("aria-current", "page");
    expect(await screen.findByRole("region", { name: "Text" })).toBeVisible();
  });

  it("lets the keyboard skip it", async () => {
    stubRoutes({});
    render(<App />);
    await userEvent.tab();
    expect(screen.getByRole("button", { name: "Skip to content" })).toHaveFocus();
    await userEvent.keyboard("{Enter}");
    expect(screen.getByRole("main")).toHaveFocus();
  });
});

describe("services", () => {
  const links = () =>
    within(screen.getByRole("navigation", { name: "Pages" }))
      .getAllByRole("link")
      .map((link) => link.textContent);

  it("hide the pages of those that are switched off", async () => {
    stubRoutes({ "/services": servicesReport([service({ name: "iot" })]) });
    render(<App />);
    await waitFor(() => expect(links()).toEqual(["Vectorizer", "Emotions", "Services"]));
    expect(screen.getByRole("heading", { level: 1 })).toHaveTextContent("Vectorizer");
    expect(await screen.findByRole("region", { name: "Enrollment A" })).toBeVisible();
  });

  it("are named where the address asks for such a page", async () => {
    stubRoutes({ "/services": servicesReport([service()]) });
    window.location.hash = "#/emotions";
    render(<App />);
    expect(await screen.findByText(/does not run the service “iot”/)).toBeVisible();
    expect(screen.getByRole("heading", { level: 1 })).toHaveTextContent("Emotions");
    expect(screen.queryByLabelText(/Choose a clip/)).toBeNull();
  });

  it("are asked for again with every page, but never for a key", async () => {
    let names = ["iot"];
    const received = stubApi(({ key }) =>
      key === "right"
        ? json(servicesReport(names.map((name) => service({ name }))))
        : json({ detail: "No key" }, 401),
    );
    window.location.hash = "#/vectorizer";
    render(<App />);
    await waitFor(() => expect(received).toHaveLength(1));
    await screen.findByRole("region", { name: "Enrollment A" });
    expect(screen.queryByRole("dialog", { name: "API key" })).toBeNull();
    expect(links()).toHaveLength(PAGES.length);
    act(() => keys.submit("right"));
    await waitFor(() => expect(links()).toHaveLength(3));
    names = ["iot", "text"];
    act(() => {
      window.location.hash = "#/emotions";
    });
    await waitFor(() => expect(links()).toContain("Text"));
  });
});

describe("theme", () => {
  it("changes and remembers", async () => {
    stubRoutes({});
    render(<App />);
    await userEvent.click(screen.getByRole("button", { name: "Switch to dark theme" }));
    expect(document.documentElement.dataset.theme).toBe("dark");
    expect(localStorage.getItem("pentad.theme")).toBe("dark");
    await userEvent.click(screen.getByRole("button", { name: "Switch to light theme" }));
    expect(document.documentElement.dataset.theme).toBe("light");
  });
});

describe("key dialog", () => {
  it("asks, refuses a wrong key, and goes on with the right one", async () => {
    const received = stubApi(({ key }) =>
      key === "right"
        ? json(servicesReport([service()]))
        : json({ detail: "Invalid or missing API key" }, 401),
    );
    window.location.hash = "#/services";
    render(<App />);
    const dialog = await screen.findByRole("dialog", { name: "API key" });
    await userEvent.type(within(dialog).getByLabelText("Key"), "wrong{Enter}");
    expect(await within(dialog).findByText("The server did not accept this key.")).toBeVisible();
    await userEvent.type(within(dialog).getByLabelText("Key"), "right{Enter}");
    expect(await screen.findByRole("region", { name: "Text" })).toBeVisible();
    expect(screen.queryByRole("dialog")).toBeNull();
    expect([...new Set(received.map(({ key }) => key))]).toEqual([null, "wrong", "right"]);
  });

  it("can be closed, opened again, and made to forget", async () => {
    stubApi(({ key }) =>
      key === "right" ? json(servicesReport([])) : json({ detail: "No key" }, 401),
    );
    window.location.hash = "#/services";
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Cancel" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("No key");
    await userEvent.click(screen.getByRole("button", { name: "Use a key" }));
    await userEvent.type(screen.getByLabelText("Key"), "right{Enter}");
    expect(await screen.findByText("No service is switched on.")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Key in use" }));
    await userEvent.click(screen.getByRole("button", { name: "Forget key" }));
    expect(screen.getByRole("button", { name: "Enter key" })).toBeInTheDocument();
    expect(sessionStorage).toHaveLength(0);
  });
});

describe("toasts", () => {
  it("go by themselves, but not while they are read", () => {
    vi.useFakeTimers();
    stubRoutes({});
    render(<App />);
    act(() => showToast("error", "dog.jpg", "Uploaded file is empty."));
    const toast = screen.getByText("dog.jpg").closest(".toast") as HTMLElement;
    fireEvent.mouseEnter(toast);
    act(() => vi.advanceTimersByTime(10 * TOAST_MS));
    expect(screen.getByText("Uploaded file is empty.")).toBeVisible();
    fireEvent.mouseLeave(toast);
    act(() => vi.advanceTimersByTime(TOAST_MS));
    expect(screen.queryByText("Uploaded file is empty.")).toBeNull();
  });

  it("are dismissed one by one; equal ones do not pile up", () => {
    stubRoutes({});
    render(<App />);
    act(() => {
      for (const text of ["a", "b", "a"]) showToast("error", "Failed", text);
    });
    const region = screen.getByRole("region", { name: "Notifications" });
    const texts = () =>
      within(region)
        .queryAllByText(/^[ab]$/)
        .map((one) => one.textContent);
    expect(texts()).toEqual(["b", "a"]);
    fireEvent.click(within(region).getAllByRole("button", { name: "Dismiss" })[0] as HTMLElement);
    expect(texts()).toEqual(["a"]);
  });
});
