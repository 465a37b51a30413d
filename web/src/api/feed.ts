// A feed asks one question again and again and remembers how fresh its answer is.
import type { Source } from "./freshness.ts";

export class Feed<T> {
  readonly every: number;
  answeredAt: number | null = null;
  failingSince: number | null = null;
  failure: unknown = null;
  private readonly ask: () => Promise<T>;
  private readonly show: (value: T) => void;
  private round = 0;

  constructor(every: number, ask: () => Promise<T>, show: (value: T) => void) {
    this.every = every;
    this.ask = ask;
    this.show = show;
  }

  get source(): Source {
    return { every: this.every, answeredAt: this.answeredAt, failingSince: this.failingSince };
  }

  /** Asks now, and from then on after every pause; a slow answer delays the next question instead of piling up. */
  start(): void {
    void this.turn(++this.round);
  }

  private async turn(round: number): Promise<void> {
    try {
      const value = await this.ask();
      if (round !== this.round) return; // restarted meanwhile: this answers an older question
      this.answeredAt = Date.now();
      this.failingSince = null;
      this.failure = null;
      this.show(value);
    } catch (error) {
      if (round !== this.round) return;
      this.failingSince ??= Date.now();
      this.failure = error;
    }
    setTimeout(() => {
      if (round === this.round) void this.turn(round);
    }, this.every);
  }
}
