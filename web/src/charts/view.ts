// A thin view: keeps one chart in one element and hands it options. Everything worth testing is in transformProps.
import { init } from "./echarts.ts";
import type { Scale } from "./palette.ts";

export interface ChartSize {
  readonly aspect: number;
  readonly scale: Scale;
}

export class ChartView {
  private readonly chart: ReturnType<typeof init>;
  private readonly host: HTMLElement;
  private draw: ((size: ChartSize) => Record<string, unknown>) | null = null;

  constructor(host: HTMLElement, onClick?: (codename: string) => void) {
    this.host = host;
    this.chart = init(host, null, { renderer: "canvas" });
    new ResizeObserver(() => {
      if (!this.hasPlace()) return; // behind the other page; a canvas without area cannot be drawn on
      this.chart.resize();
      this.paint();
    }).observe(host);
    if (onClick) {
      this.chart.on("click", (event) => {
        const codename = (event.data as { codename?: unknown } | null)?.codename;
        if (typeof codename === "string") onClick(codename);
      });
    }
  }

  /** Shows what `draw` makes of the place that there is, now and again whenever the place changes. */
  show(draw: (size: ChartSize) => Record<string, unknown>): void {
    this.draw = draw;
    this.paint();
  }

  private hasPlace(): boolean {
    return this.host.clientWidth > 0 && this.host.clientHeight > 0;
  }

  private paint(): void {
    const { clientWidth, clientHeight } = this.host;
    if (!this.draw || !this.hasPlace()) return;
    const root = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
    const scale = { px: (size: number) => (size * root) / 16 };
    this.chart.setOption(this.draw({ aspect: clientWidth / clientHeight, scale }));
  }
}
