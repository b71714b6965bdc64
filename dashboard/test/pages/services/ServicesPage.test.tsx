import { render, screen, within } from "@testing-library/react";
import { beforeEach, describe, expect, it } from "vitest";
import { App } from "../../../src/App";
import { service, servicesReport, stubRoutes } from "../../support/api";

beforeEach(() => {
  window.location.hash = "#/services";
});

describe("ServicesPage", () => {
  it("shows state, load, queue and models of every service", async () => {
    const vision = service({
      name: "vision",
      state: "down",
      detail: "The model is gone.",
      models: [],
    });
    stubRoutes({ "/services": servicesReport([service(), vision]) });
    render(<App />);
    const text = await screen.findByRole("region", { name: "Text" });
    expect(text).toHaveTextContent("12.3 /s");
    expect(text).toHaveTextContent("p504.2 ms");
    expect(text).toHaveTextContent("p95–");
    expect(text).toHaveTextContent("3 of 64 slots · 1 waiting");
    const meter = within(text).getByRole("meter", { name: "Slots in use" });
    expect([meter.getAttribute("value"), meter.getAttribute("max")]).toEqual(["3", "64"]);
    const row = within(text).getAllByRole("row")[1];
    expect(row).toHaveTextContent("all-MiniLM-L6-v2openvino bf16readyembed8.2 ms");
    const down = screen.getByRole("region", { name: "Vision" });
    expect(down).toHaveTextContent("down");
    expect(down).toHaveTextContent("The model is gone.");
    expect(down).toHaveTextContent("No models.");
  });

  it("says what of Triton does not fit", async () => {
    const warning = "Start it with --allow-client-shm=true";
    stubRoutes({ "/services": servicesReport([service()], [warning]) });
    render(<App />);
    expect(await screen.findByText(warning)).toBeVisible();
  });

  it("lists the errors of all services, newest first, with readable details", async () => {
    const error = { route: "/text/embed", status: 422 };
    const issues = "texts: Field required";
    stubRoutes({
      "/services": servicesReport([
        service({ recent_errors: [{ ...error, time: 100, detail: issues }] }),
        service({
          name: "vision",
          recent_errors: [{ route: "/infer", status: 503, time: 200, detail: "GPU busy" }],
        }),
      ]),
    });
    render(<App />);
    const list = await screen.findByRole("region", { name: "List of recent errors" });
    const [, first, second] = within(list).getAllByRole("row");
    expect(first).toHaveTextContent("vision/infer503GPU busy");
    expect(second).toHaveTextContent("text/text/embed422texts: Field required");
  });

  it("says that there is nothing", async () => {
    stubRoutes({ "/services": servicesReport([]) });
    render(<App />);
    expect(await screen.findByText("No service is switched on.")).toBeVisible();
  });
});
