import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";
import { App } from "../../../src/App";
import { byPage, gpuReport, json, sample, stubApi, stubRoutes } from "../../support/api";

const START = 1_800_000_000;
const GPUS = "/vision/metrics/gpus";

beforeEach(() => {
  window.location.hash = "#/gpu";
});

describe("GpuPage", () => {
  it("shows the newest values and says that they are simulated", async () => {
    const received = stubRoutes({
      [GPUS]: gpuReport([sample(START), sample(START + 2, { gpu_util: 73 })]),
    });
    render(<App />);
    const chart = await screen.findByRole("region", { name: "Utilisation" });
    expect(chart).toHaveTextContent("73 %");
    expect(chart).toHaveTextContent("50 to 73 %");
    expect(screen.getByRole("region", { name: "Memory" })).toHaveTextContent("2.0 GiB of 8.0 GiB");
    expect(screen.getByRole("region", { name: "Power" })).toHaveTextContent("150 W of 250 W");
    expect(screen.getByRole("region", { name: "Temperature" })).toHaveTextContent("45 °C");
    expect(screen.getByText("Simulated: no GPU driver found")).toBeVisible();
    expect(byPage(received)[0]?.path).toBe(`${GPUS}?samples=120`);
  });

  it("says what a device does not report", async () => {
    stubRoutes({ [GPUS]: gpuReport([sample(START, { temperature_c: null })]) });
    render(<App />);
    const chart = await screen.findByRole("region", { name: "Temperature" });
    expect(chart).toHaveTextContent("Not reported by this device");
    expect(screen.getByRole("region", { name: "Power" })).not.toHaveTextContent("Not reported");
  });

  it("shows the GPU that is chosen", async () => {
    const report = gpuReport([sample(START, { power_w: 111 })], {
      gpus: [
        { gpu: 0, device: "NVIDIA A", source: "nvml", samples: [sample(START, { power_w: 111 })] },
        {
          gpu: 1,
          device: "NVIDIA B",
          source: "nvml",
          state: "lost",
          samples: [sample(START, { power_w: 222 })],
        },
      ],
    });
    stubRoutes({ [GPUS]: report });
    render(<App />);
    const choice = await screen.findByRole("combobox", { name: "GPU" });
    expect(screen.getByRole("region", { name: "Power" })).toHaveTextContent("111 W");
    expect(screen.queryByText("No new readings")).toBeNull();
    await userEvent.selectOptions(choice, "1: NVIDIA B");
    expect(screen.getByRole("region", { name: "Power" })).toHaveTextContent("222 W");
    expect(screen.getByText("No new readings")).toBeVisible();
    expect(screen.getByText("Source: NVML")).toBeVisible();
  });

  it("offers the readings as a table, newest first", async () => {
    stubRoutes({ [GPUS]: gpuReport([sample(START), sample(START + 2, { power_w: null })]) });
    render(<App />);
    await userEvent.click(await screen.findByText("Readings as a table"));
    const rows = within(await screen.findByRole("region", { name: "Readings" })).getAllByRole(
      "row",
    );
    expect(rows).toHaveLength(3);
    expect(within(rows[1] as HTMLElement).getAllByRole("cell")[4]).toHaveTextContent("–");
    expect(within(rows[2] as HTMLElement).getAllByRole("cell")[4]).toHaveTextContent("150");
  });

  it("waits for the first reading", async () => {
    stubRoutes({ [GPUS]: gpuReport([]) });
    render(<App />);
    expect(await screen.findAllByText("Waiting for the first reading")).toHaveLength(4);
  });

  it("tries again when asked to", async () => {
    let healthy = false;
    stubApi(() =>
      healthy ? json(gpuReport([sample(START)])) : json({ detail: "Starting up." }, 503),
    );
    render(<App />);
    expect(await screen.findByRole("alert")).toHaveTextContent("Starting up.");
    healthy = true;
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("region", { name: "Power" })).toHaveTextContent("150 W");
  });
});
