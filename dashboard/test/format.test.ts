import { describe, expect, it } from "vitest";
import { moment } from "../src/format";

describe("moment", () => {
  const at = (date: Date) => date.getTime() / 1000;
  const now = new Date(2026, 10, 21, 15, 0, 0);

  it("leaves today's day out", () => {
    expect(moment(at(new Date(2026, 10, 21, 7, 5, 9)), now)).toBe("07:05:09");
    expect(moment(at(new Date(2026, 10, 20, 23, 59, 59)), now)).toBe("20 Nov, 23:59:59");
    expect(moment(at(new Date(2025, 10, 21, 7, 5, 9)), now)).toBe("21 Nov, 07:05:09");
  });
});
