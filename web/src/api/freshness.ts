// Whether a number may be shown as live. Pure: the clock is an argument.

export type Freshness = "waiting" | "live" | "stale" | "offline";

export interface Source {
  /** Every how many milliseconds it is asked. */
  readonly every: number;
  /** When it last answered, null if never; milliseconds. */
  readonly answeredAt: number | null;
  /** When it began to fail without a break, null if the last try was well. */
  readonly failingSince: number | null;
}

const PATIENCE = 2.5;
const OFFLINE_AFTER = 30_000;
const FIRST_ANSWER_WITHIN = 5_000;

/** A source that missed two turns is stale; one that has been silent for 30 s, or never answered, is offline. */
export function freshness(source: Source, now: number, startedAt: number): Freshness {
  if (source.answeredAt === null) {
    return source.failingSince !== null || now - startedAt > FIRST_ANSWER_WITHIN ? "offline" : "waiting";
  }
  const age = now - source.answeredAt;
  if (age > Math.max(OFFLINE_AFTER, source.every * PATIENCE)) return "offline";
  return age > Math.max(source.every * PATIENCE, 6_000) ? "stale" : "live";
}

const ORDER: readonly Freshness[] = ["live", "waiting", "stale", "offline"];

/** The screen as a whole is as fresh as its worst source. */
export function worst(all: readonly Freshness[]): Freshness {
  return all.reduce<Freshness>((a, b) => (ORDER.indexOf(b) > ORDER.indexOf(a) ? b : a), "live");
}
