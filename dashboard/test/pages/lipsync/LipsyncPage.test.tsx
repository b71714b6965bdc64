import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { App } from "../../../src/App";
import type { Tenant } from "../../../src/api/types";
import { json, lipsyncDevices, type Received, stubApi, tenant } from "../../support/api";

const RESIDENT = tenant("sanders", {
  state: "resident",
  device: 1,
  pinned: true,
  usage_count: 4,
  inference_ms_total: 50,
  memory_bytes: 50 * 2 ** 20,
  last_used: 1_800_000_000,
  graph: "cafe12345678",
});

/** A gateway with these tenants that searches, pages, loads and unloads. */
function serve(tenants: Tenant[], special: (call: Received) => Response | null = () => null) {
  return stubApi((call) => {
    const answer = special(call);
    if (answer) return answer;
    const { pathname, searchParams } = new URL(call.path, "http://gateway");
    if (pathname === "/lipsync/devices") return json(lipsyncDevices());
    if (pathname === "/lipsync/tenants") {
      const found = tenants.filter(({ id }) => id.includes(searchParams.get("search") ?? ""));
      const offset = Number(searchParams.get("offset"));
      const page = found.slice(offset, offset + Number(searchParams.get("limit")));
      const resident = found.filter(({ state }) => state === "resident").length;
      return json({ total: found.length, resident, tenants: page });
    }
    const [, , , id, action] = pathname.split("/");
    const one = tenants.find((candidate) => candidate.id === id);
    if (!one) return json({ detail: "Not Found" }, 404);
    if (action === "preview") return new Response(new Blob(["png"]));
    one.state = action === "load" ? "resident" : "idle";
    return json(one);
  });
}

const many = () => Array.from({ length: 60 }, (_, n) => tenant(`tenant_${100 + n}`));
const sent = (received: Received[], part: string) =>
  received.filter(({ path, method }) => method === "POST" && path.includes(part));
const rowOf = (id: string) =>
  screen.getByRole("rowheader", { name: new RegExp(`^${id}`) }).closest("tr") as HTMLElement;
const messages = () => screen.getByRole("region", { name: "Notifications" });

beforeEach(() => {
  window.location.hash = "#/lipsync";
});

describe("LipsyncPage", () => {
  it("shows tenants, devices, their memory and queues", async () => {
    const failed = tenant("broken", { state: "failed", error: "no valid ONNX model" });
    serve([RESIDENT, failed]);
    render(<App />);
    const device = await screen.findByRole("region", { name: "Device 0" });
    expect(device).toHaveTextContent("Some CPU");
    expect(device).toHaveTextContent("Tenants1.0 GiB of 4.0 GiB");
    expect(device).toHaveTextContent("In use6.0 GiB of 8.0 GiB");
    expect(device).toHaveTextContent("In work1");
    expect(device).toHaveTextContent("Waiting3");
    expect(device).toHaveTextContent("onnxruntime cpu");
    expect(screen.getByText("4 of 20 slots · 0 waiting")).toBeVisible();
    expect(screen.getByText("1 of 2 resident")).toBeVisible();
    expect(rowOf("sanders")).toHaveTextContent(
      /^sandersgraph cafe12345678 · pinnedresident150\.0 MiB412\.5 ms\d\d:\d\d:\d\d/,
    );
    expect(rowOf("broken")).toHaveTextContent("failedno valid ONNX model");
  });

  it("turns pages and searches from the first one", async () => {
    serve(many());
    render(<App />);
    await screen.findByText("1–25 of 60");
    expect(screen.getByRole("button", { name: "Previous" })).toBeDisabled();
    await userEvent.click(screen.getByRole("button", { name: "Next" }));
    await screen.findByText("26–50 of 60");
    await userEvent.click(screen.getByRole("button", { name: "Next" }));
    await screen.findByText("51–60 of 60");
    expect(screen.getByRole("button", { name: "Next" })).toBeDisabled();
    await userEvent.type(screen.getByRole("searchbox", { name: "Search" }), "_14");
    await screen.findByText("1–10 of 10");
    expect(screen.getAllByRole("rowheader")).toHaveLength(10);
    await userEvent.type(screen.getByRole("searchbox"), "x");
    expect(await screen.findByText("No tenant has such an id.")).toBeVisible();
    expect(screen.getByText("0 of 0")).toBeVisible();
  });

  it("loads, reloads and unloads a tenant", async () => {
    const received = serve([tenant("anna"), tenant("bert", { state: "failed", error: "bad" })]);
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Load anna" }));
    await userEvent.click(await screen.findByRole("button", { name: "Reload anna" }));
    await waitFor(() => expect(sent(received, "/anna/load")).toHaveLength(2));
    await waitFor(() => expect(screen.getByRole("button", { name: "Unload anna" })).toBeEnabled());
    await userEvent.click(screen.getByRole("button", { name: "Unload anna" }));
    await screen.findByRole("button", { name: "Load anna" });
    await waitFor(() => expect(screen.getByRole("button", { name: "Load bert" })).toBeEnabled());
    await userEvent.click(screen.getByRole("button", { name: "Load bert" }));
    await screen.findByRole("button", { name: "Unload bert" });
    expect(sent(received, "load").map(({ path, body }) => [path, body])).toEqual([
      ["/lipsync/tenants/anna/load", '{"force_reload":false}'],
      ["/lipsync/tenants/anna/load", '{"force_reload":true}'],
      ["/lipsync/tenants/anna/unload", "{}"],
      ["/lipsync/tenants/bert/load", '{"force_reload":true}'],
    ]);
  });

  it("shows a preview frame and lets the last one go", async () => {
    const received = serve([tenant("anna"), tenant("bert")]);
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Preview anna" }));
    const frame = await screen.findByRole("img", { name: "Frame made by anna" });
    expect(frame).toHaveAttribute("src", expect.stringMatching(/^blob:/));
    expect(screen.getByRole("region", { name: "Preview of anna" })).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Preview bert" }));
    await screen.findByRole("img", { name: "Frame made by bert" });
    expect(URL.revokeObjectURL).toHaveBeenCalledTimes(1);
    expect(received.filter(({ path }) => path.endsWith("/preview"))).toHaveLength(2);
  });

  it("lets a tenant speak a sample sound", async () => {
    const drawn: number[][] = [];
    const context = { drawImage: (_: unknown, ...place: number[]) => drawn.push(place) };
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(context as never);
    const play = vi.spyOn(HTMLMediaElement.prototype, "play").mockResolvedValue();
    vi.stubGlobal(
      "Image",
      class {
        naturalHeight = 50 * 320;
        onload: (() => void) | null = null;
        set src(_: string) {
          queueMicrotask(() => this.onload?.());
        }
      },
    );
    const received = serve([tenant("anna")], ({ path }) =>
      path.startsWith("/samples/") || path.endsWith("/clip") ? new Response("x") : null,
    );
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Let it speak" }));
    await screen.findByRole("img", { name: "anna speaks" });
    expect(screen.getByRole("region", { name: "Preview of anna" })).toBeVisible();
    await waitFor(() => expect(play).toHaveBeenCalled());
    expect(drawn[0]).toEqual([0, 0, 320, 320, 0, 0, 320, 320]);
    const sound = screen.getByLabelText("What it says") as HTMLAudioElement;
    sound.currentTime = 1.0;
    await waitFor(() => expect(drawn.at(-1)?.slice(0, 2)).toEqual([0, 25 * 320]));
    sound.currentTime = 2.5; // longer than the frames: the last one stays
    await waitFor(() => expect(drawn.at(-1)?.slice(0, 2)).toEqual([0, 49 * 320]));
    expect(sent(received, "/clip").map(({ path, body }) => [path, body])).toEqual([
      ["/lipsync/tenants/anna/clip", '{"sound":"eA=="}'],
    ]);
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it("says what the server says", async () => {
    serve([tenant("anna"), tenant("bert", { state: "resident" })], ({ path }) => {
      if (path.endsWith("/preview")) return json({ detail: "The file is no model" }, 422);
      if (path.endsWith("/unload")) return json({ detail: "Forbidden" }, 403);
      return null;
    });
    render(<App />);
    await userEvent.click(await screen.findByRole("button", { name: "Preview anna" }));
    expect(await within(messages()).findByText("Preview failed")).toBeVisible();
    expect(messages()).toHaveTextContent("The file is no model");
    await userEvent.click(screen.getByRole("button", { name: "Unload bert" }));
    expect(await within(messages()).findByText("Forbidden")).toBeVisible();
    expect(rowOf("bert")).toHaveTextContent("resident");
  });

  it("tells that there is no tenant, and of a failure", async () => {
    serve([]);
    const { unmount } = render(<App />);
    expect(await screen.findByText("No tenant is configured.")).toBeVisible();
    unmount();
    serve([], () => json({ detail: "The gateway is starting" }, 503));
    render(<App />);
    expect(await screen.findByRole("alert")).toHaveTextContent("The gateway is starting");
  });

  it("is left out where the service is not switched on", async () => {
    stubApi(({ path }) =>
      path === "/services" ? json({ services: [{ name: "text" }] }) : json({}, 404),
    );
    render(<App />);
    expect(await screen.findByText(/does not run the service “lipsync”/)).toBeVisible();
    await waitFor(() => expect(screen.queryByRole("link", { name: "Lip-sync" })).toBeNull());
  });
});
