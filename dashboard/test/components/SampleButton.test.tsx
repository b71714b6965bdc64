import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { SampleButton } from "../../src/components/SampleButton";
import { Toasts } from "../../src/components/Toasts";
import { json, stubApi } from "../support/api";

describe("SampleButton", () => {
  it("hands on the files in order, named and typed", async () => {
    const requests = stubApi(() => new Response("bytes"));
    const chosen: File[][] = [];
    render(
      <SampleButton samples={["clip.mp4", "person.jpg"]} onFiles={(f) => chosen.push([...f])} />,
    );
    await userEvent.click(screen.getByRole("button", { name: "Use a sample" }));
    expect(requests.map(({ path }) => path)).toEqual(["/samples/clip.mp4", "/samples/person.jpg"]);
    expect(chosen.map((files) => files.map(({ name, type }) => [name, type]))).toEqual([
      [
        ["clip.mp4", "video/mp4"],
        ["person.jpg", "image/jpeg"],
      ],
    ]);
  });

  it("says so where a sample is missing", async () => {
    stubApi(() => json({ detail: "No such sample" }, 404));
    const chosen: unknown[] = [];
    render(
      <>
        <SampleButton samples={["chelsea.jpg"]} onFiles={(f) => chosen.push(f)} purpose="for A" />
        <Toasts />
      </>,
    );
    await userEvent.click(screen.getByRole("button", { name: /^Use a sample ?for A$/ }));
    const messages = await screen.findByRole("region", { name: "Notifications" });
    expect(await within(messages).findByText("No such sample")).toBeVisible();
    expect(chosen).toEqual([]);
  });
});
