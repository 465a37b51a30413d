// 24 hours: what passed, what was expected, and the band of the forecast.
import type { HourFlow } from "../api/types.ts";
import { count, decimal, short } from "../words/numbers.ts";
import { COLOUR, FONT, tooltip, type Scale } from "./palette.ts";

export interface HourlyFlowProps {
  readonly hours: readonly HourFlow[];
  /** The running hour of the platform's clock; null if the day shown is over. */
  readonly running: number | null;
  readonly scale: Scale;
}

const LOW = "下限 low";
const BAND = "预测区间 band";
const FORECAST = "预测 forecast";
const OBSERVED = "过车 passes";
const RUNNING = "本小时 so far";

export function transformProps({ hours, running, scale }: HourlyFlowProps) {
  const ended = (hour: HourFlow) => running === null || hour.hour < running;
  const axisText = { color: COLOUR.faint, fontSize: scale.px(12), fontFamily: FONT };
  const banded = hours.some((hour) => hour.low !== null && hour.high !== null);
  return {
    animationDurationUpdate: 600,
    grid: { left: scale.px(8), right: scale.px(18), top: scale.px(34), bottom: scale.px(2), containLabel: true },
    legend: {
      top: 0,
      right: scale.px(8),
      itemWidth: scale.px(18),
      itemHeight: scale.px(8),
      textStyle: { color: COLOUR.faint, fontSize: scale.px(12), fontFamily: FONT },
      data: banded ? [OBSERVED, RUNNING, FORECAST, BAND] : [OBSERVED, RUNNING],
    },
    tooltip: {
      ...tooltip(scale),
      trigger: "axis",
      formatter: (points: readonly { dataIndex: number }[]) => tip(hours[points[0]?.dataIndex ?? 0], running),
    },
    xAxis: {
      type: "category",
      boundaryGap: false,
      data: hours.map((hour) => String(hour.hour).padStart(2, "0")),
      axisLine: { lineStyle: { color: COLOUR.line } },
      axisTick: { show: false },
      axisLabel: { ...axisText, interval: 1, formatter: (hour: string) => `${hour}时` },
    },
    yAxis: {
      type: "value",
      min: 0,
      splitNumber: 4,
      splitLine: { lineStyle: { color: COLOUR.line } },
      axisLabel: { ...axisText, formatter: short },
    },
    series: [
      // The band is the gap between two stacked lines of which the lower is invisible.
      bandLine(LOW, hours.map((hour) => hour.low), 0),
      bandLine(BAND, hours.map((hour) => (hour.low === null || hour.high === null ? null : hour.high - hour.low)), 0.2),
      {
        name: FORECAST,
        type: "line",
        smooth: 0.3,
        symbol: "none",
        color: COLOUR.amber,
        lineStyle: { width: 2, type: "dashed", color: COLOUR.amber },
        data: hours.map((hour) => hour.forecast),
      },
      {
        name: OBSERVED,
        type: "line",
        smooth: 0.3,
        symbol: "circle",
        symbolSize: scale.px(6),
        color: COLOUR.cyan,
        lineStyle: { width: 3, color: COLOUR.cyan },
        areaStyle: {
          color: {
            type: "linear", x: 0, y: 0, x2: 0, y2: 1,
            colorStops: [
              { offset: 0, color: "rgba(57, 200, 255, 0.38)" },
              { offset: 1, color: "rgba(57, 200, 255, 0.02)" },
            ],
          },
        },
        // An hour to come has no passes yet, which is not the same as none.
        data: hours.map((hour) => (ended(hour) ? hour.value : null)),
      },
      {
        // The running hour is not over: drawn as a hollow mark and never as the end of the line.
        name: RUNNING,
        type: "scatter",
        symbolSize: scale.px(11),
        color: COLOUR.teal,
        itemStyle: { color: COLOUR.panel, borderColor: COLOUR.teal, borderWidth: 2 },
        data: hours.map((hour) => (hour.hour === running ? hour.value : null)),
      },
    ],
  };
}

function bandLine(name: string, data: readonly (number | null)[], opacity: number) {
  return {
    name,
    type: "line",
    stack: "band",
    smooth: 0.3,
    symbol: "none",
    silent: true,
    color: COLOUR.amber,
    lineStyle: { opacity: 0 },
    areaStyle: { color: COLOUR.amber, opacity },
    data,
  };
}

function tip(hour: HourFlow | undefined, running: number | null): string {
  if (!hour) return "";
  const lines = [`<b>${String(hour.hour).padStart(2, "0")}:00 – ${String(hour.hour + 1).padStart(2, "0")}:00</b>`];
  if (running === null || hour.hour < running) lines.push(`过车 passes: <b>${count(hour.value)}</b>`);
  if (hour.hour === running) lines.push(`本小时至今 so far: <b>${count(hour.value)}</b>`);
  lines.push(
    hour.forecast === null
      ? "暂无预测 no forecast"
      : `预测 forecast: <b>${count(hour.forecast)}</b> (${decimal(hour.low, 0)} – ${decimal(hour.high, 0)})`,
  );
  return lines.join("<br>");
}
