import { describe, expect, it } from "vitest";
import { ApiError, detailText, errorText, retryAfterSeconds } from "../../src/api/errors";

describe("detailText", () => {
  it("keeps the server's own words", () => {
    expect(detailText("Uploaded file is empty.", 400)).toBe("Uploaded file is empty.");
  });

  it("puts validation issues one a line with their place", () => {
    const detail = [
      { type: "missing", loc: ["body", "texts"], msg: "Field required" },
      { type: "string_type", loc: ["body", "texts", 3], msg: "Input should be a string" },
      { type: "value_error", loc: ["body"], msg: "Lengths differ" },
    ];
    expect(detailText(detail, 422)).toBe(
      "texts: Field required\ntexts[3]: Input should be a string\nLengths differ",
    );
  });

  it.each([null, undefined, "", " ", {}, [], [1], 7])("explains the status for %j", (detail) => {
    expect(detailText(detail, 413)).toBe("The upload is too large.");
    expect(detailText(detail, 418)).toBe("The server answered with status 418.");
  });
});

describe("retryAfterSeconds", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");

  it.each([
    [null, null],
    ["", null],
    ["soon", null],
    ["2", 2],
    ["1.2", 2],
    ["-5", 0],
    ["Thu, 01 Jan 2026 00:00:09 GMT", 9],
    ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
  ])("reads %j as %j", (header, seconds) => {
    expect(retryAfterSeconds(header, now)).toBe(seconds);
  });
});

describe("errorText", () => {
  it("says how long to wait", () => {
    expect(errorText(new ApiError(503, "GPU busy.", 3))).toBe("GPU busy. Try again in 3 s.");
  });

  it("says nothing of waiting where the server did not", () => {
    expect(errorText(new ApiError(503, "GPU busy."))).toBe("GPU busy.");
  });

  it("shows no text of a programming error", () => {
    expect(errorText(new TypeError("x is undefined"))).not.toContain("undefined");
  });
});
