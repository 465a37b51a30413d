// Times as people read them. The API's times are local to the platform; the browser's zone is never applied to them.

/** `2024-01-15 08:03:40` and `2024-01-15T08:03:41.120+08:00` → `08:03:40`, `08:03:41`. */
export function clockOf(stamp: string): string {
  return stamp.slice(11, 19);
}

/** `2024-01-15 08:03:40` → `01-15`. */
export function dayOf(stamp: string): string {
  return stamp.slice(5, 10);
}

/** The time of day, with the date before it if it is not `today` (`2024-01-15`). */
export function moment(stamp: string, today: string): string {
  return stamp.startsWith(today) ? clockOf(stamp) : `${dayOf(stamp)} ${clockOf(stamp)}`;
}

/** The hour of an API time, whatever zone the browser is in. */
export function hourOf(stamp: string): number {
  return Number(stamp.slice(11, 13));
}

/** Seconds as `45秒`, `3分30秒`, `1时05分`. */
export function spanZh(seconds: number | null): string {
  if (seconds === null) return "—";
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  if (hours > 0) return `${hours}时${String(minutes).padStart(2, "0")}分`;
  if (minutes > 0) return rest > 0 ? `${minutes}分${String(rest).padStart(2, "0")}秒` : `${minutes}分`;
  return `${rest}秒`;
}

/** Tells the platform's time of day, which need not be the browser's: it is learned from the API's own stamps. */
export class PlatformClock {
  private ahead: number | null = null;

  /** `stamp` is an API time such as `2024-01-15T08:03:41.120+08:00`, heard at `now`. */
  learn(stamp: string, now: number): void {
    const wall = Date.parse(`${stamp.slice(0, 23)}Z`);
    if (Number.isNaN(wall)) return;
    // An answer may be some seconds old, so small differences say nothing and would only make the clock jump.
    const ahead = wall - now;
    if (this.ahead === null || Math.abs(ahead - this.ahead) > 3_000) this.ahead = ahead;
  }

  /** `2024-01-15 08:03:41` at a moment of the browser's clock; empty until the API was heard. */
  text(now: number): string {
    if (this.ahead === null) return "";
    return new Date(now + this.ahead).toISOString().slice(0, 19).replace("T", " ");
  }
}
