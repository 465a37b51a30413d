// The search form: what a person filled in, and what is asked of the API.
import type { PassQuery } from "../api/types.ts";

export interface Filled {
  readonly hphm: string;
  readonly kkmc: string;
  readonly start: string;
  readonly end: string;
  readonly hpzl: string;
  readonly fxlx: string;
}

/** `2024-01-15T08:03` or `2024-01-15T08:03:40` of a browser's field → `2024-01-15 08:03:40`, null if empty. */
export function fieldTime(value: string, seconds: "00" | "59"): string | null {
  if (!value) return null;
  const [day, clock = "00:00"] = value.split("T");
  return `${day} ${clock.length === 5 ? `${clock}:${seconds}` : clock.slice(0, 8)}`;
}

/** The request of one page. A minute given as the end includes all its seconds. */
export function toQuery(filled: Filled, page: number, size: number): PassQuery {
  const text = (value: string) => value.trim() || null;
  return {
    hphm: text(filled.hphm),
    kkmc: text(filled.kkmc),
    start: fieldTime(filled.start, "00"),
    end: fieldTime(filled.end, "59"),
    hpzl: text(filled.hpzl),
    fxlx: text(filled.fxlx),
    page,
    size,
  };
}

/** How many pages there are; an empty result still has one. */
export function pages(total: number, size: number): number {
  return Math.max(1, Math.ceil(total / size));
}
