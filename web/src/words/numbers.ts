// Numbers as the screen writes them. An unknown number is a dash, never a zero.

export const DASH = "—";

export function count(value: number | null | undefined): string {
  return value == null ? DASH : value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

export function decimal(value: number | null | undefined, digits = 1): string {
  return value == null
    ? DASH
    : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function percent(share: number | null | undefined, digits = 1): string {
  return share == null ? DASH : `${decimal(share * 100, digits)}%`;
}

/** Large counts for axes: 12,000 is 12k. */
export function short(value: number): string {
  if (Math.abs(value) < 10_000) return count(value);
  return `${decimal(value / 1000, value % 1000 === 0 ? 0 : 1)}k`;
}
