// Where vehicles come from: area by the province of the plate. ECharts ships no maps, and none is needed to compare.
import type { NamedValue } from "../api/types.ts";
import { count, percent } from "../words/numbers.ts";
import { COLOUR, escapeHtml, FONT, SERIES, tooltip, type Scale } from "./palette.ts";

export interface OriginsProps {
  readonly provinces: readonly NamedValue[];
  readonly scale: Scale;
}

/** Share of plates from the largest province, which is home for most gates; null without data. */
export function homeShare(provinces: readonly NamedValue[]): { name: string; share: number } | null {
  const total = sum(provinces);
  const first = provinces[0];
  return first && total > 0 ? { name: first.name, share: first.value / total } : null;
}

const SMALLEST_SHARE = 0.008;
const MOST = 10;

/** Provinces too small to be read are shown as one. */
export function grouped(provinces: readonly NamedValue[]): NamedValue[] {
  const total = sum(provinces);
  const seen = provinces.filter((province) => province.value > 0);
  const large = seen.filter((province, rank) => rank < MOST && province.value / total >= SMALLEST_SHARE);
  const rest = seen.slice(large.length);
  return rest.length > 1 ? [...large, { name: `其他 ${rest.length}`, value: sum(rest) }] : seen;
}

export function transformProps({ provinces, scale }: OriginsProps) {
  const total = sum(provinces);
  return {
    animationDurationUpdate: 600,
    tooltip: {
      ...tooltip(scale),
      formatter: (point: { name: string; data: { passes: number } }) =>
        `${escapeHtml(point.name)}<br><b>${count(point.data.passes)}</b> 辆 · ${percent(point.data.passes / (total || 1))}`,
    },
    series: [
      {
        type: "treemap",
        left: 0, right: 0, top: 0, bottom: 0,
        roam: false,
        nodeClick: false,
        breadcrumb: { show: false },
        // Square roots: the home province would else leave the others a sliver. Labels and tips give true shares.
        label: {
          show: true,
          color: "#eaf4ff",
          fontSize: scale.px(13),
          fontFamily: FONT,
          lineHeight: scale.px(17),
          formatter: (point: { name: string; data: { passes: number } }) =>
            `${point.name}\n${percent(point.data.passes / (total || 1))}`,
        },
        itemStyle: { borderColor: COLOUR.panel, borderWidth: 1, gapWidth: 2, borderRadius: 2 },
        data: grouped(provinces).map((province, rank) => ({
          name: province.name,
          value: Math.sqrt(province.value),
          passes: province.value,
          itemStyle: { color: /^(未知|其他)/.test(province.name) ? "#3a4a66" : shade(rank) },
        })),
      },
    ],
  };
}

function shade(rank: number): string {
  const colour = SERIES[Math.min(rank, SERIES.length - 1) % 4] ?? SERIES[0];
  const strength = Math.max(0.32, 0.82 - rank * 0.05);
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${strength.toFixed(2)})`;
}

function sum(values: readonly NamedValue[]): number {
  return values.reduce((total, one) => total + one.value, 0);
}
