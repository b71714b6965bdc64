/** Numbers and times as text, always with the same number of digits so that columns stay put. */

/** What stands where a value is unknown. */
export const NO_VALUE = "–";

/** `value` with `digits` decimals, or a dash where there is none. */
export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_VALUE;
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A number followed by its unit, or a dash alone. */
export function quantity(value: number | null | undefined, unit: string, digits = 0): string {
  const text = number(value, digits);
  return text === NO_VALUE ? text : `${text} ${unit}`;
}

/** The fraction 0.934 as `93.4 %`. */
export function percent(fraction: number | null | undefined): string {
  return quantity(fraction == null ? null : fraction * 100, "%", 1);
}

/** Milliseconds with a decimal below 100. */
export function milliseconds(value: number | null | undefined): string {
  return quantity(value, "ms", value != null && value < 100 ? 1 : 0);
}

/** Seconds since the epoch as the local time of day. */
export function timeOfDay(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toLocaleTimeString("en-GB");
}

/** MiB as GiB. */
export function gibibytes(mebibytes: number | null): number | null {
  return mebibytes === null ? null : mebibytes / 1024;
}

/** Bytes in the largest binary unit that leaves at least 1. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return NO_VALUE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [amount, place] = [value, 0];
  while (amount >= 1024 && place < units.length - 1) {
    amount /= 1024;
    place += 1;
  }
  return quantity(amount, units[place] ?? "B", place > 0 ? 1 : 0);
}
