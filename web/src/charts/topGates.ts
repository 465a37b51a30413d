// The busiest gates, largest on top.
import type { NamedValue } from "../api/types.ts";
import { fullName, shortName, type GateNames } from "../words/gates.ts";
import { count } from "../words/numbers.ts";
import { COLOUR, escapeHtml, FONT, tooltip, type Scale } from "./palette.ts";

export interface TopGatesProps {
  readonly counts: readonly NamedValue[];
  readonly gates: GateNames;
  readonly limit: number;
  readonly selected: string | null;
  readonly scale: Scale;
}

export function transformProps({ counts, gates, limit, selected, scale }: TopGatesProps) {
  const shown = counts.slice(0, limit);
  const most = shown[0]?.value ?? 0;
  return {
    animationDurationUpdate: 600,
    grid: { left: scale.px(4), right: scale.px(58), top: scale.px(2), bottom: scale.px(2), containLabel: true },
    tooltip: {
      ...tooltip(scale),
      formatter: (point: { data: { codename: string; value: number } }) =>
        `${escapeHtml(fullName(point.data.codename, gates))}<br><b>${count(point.data.value)}</b> 辆 · 24 h`,
    },
    xAxis: { type: "value", max: most || 1, show: false },
    yAxis: {
      type: "category",
      inverse: true,
      data: shown.map((gate) => shortName(gate.name, gates)),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: COLOUR.text, fontSize: scale.px(13), fontFamily: FONT },
    },
    series: [
      {
        type: "bar",
        barWidth: "46%",
        barMaxWidth: scale.px(20),
        showBackground: true,
        backgroundStyle: { color: "rgba(96, 150, 220, 0.08)", borderRadius: 3 },
        label: {
          show: true,
          position: "right",
          color: COLOUR.text,
          fontSize: scale.px(13),
          formatter: (point: { data: { value: number } }) => count(point.data.value),
        },
        data: shown.map((gate, rank) => ({
          value: gate.value,
          codename: gate.name,
          itemStyle: { borderRadius: 3, color: gradient(rank, gate.name === selected) },
        })),
      },
    ],
  };
}

function gradient(rank: number, selected: boolean) {
  const end = selected ? COLOUR.amber : rank < 3 ? COLOUR.cyan : COLOUR.blue;
  return {
    type: "linear", x: 0, y: 0, x2: 1, y2: 0,
    colorStops: [
      { offset: 0, color: "rgba(47, 123, 255, 0.25)" },
      { offset: 1, color: end },
    ],
  };
}
