// Shares of plate types.
import type { NamedValue } from "../api/types.ts";
import { count, percent } from "../words/numbers.ts";
import { COLOUR, escapeHtml, FONT, SERIES, tooltip, type Scale } from "./palette.ts";

export interface VehicleTypesProps {
  readonly types: readonly NamedValue[];
  readonly scale: Scale;
}

export function transformProps({ types, scale }: VehicleTypesProps) {
  const shown = types.filter((type) => type.value > 0);
  const total = shown.reduce((sum, type) => sum + type.value, 0);
  const share = (name: string) => (shown.find((type) => type.name === name)?.value ?? 0) / (total || 1);
  return {
    animationDurationUpdate: 600,
    color: [...SERIES],
    tooltip: {
      ...tooltip(scale),
      formatter: (point: { name: string; value: number }) =>
        `${escapeHtml(point.name)}<br><b>${count(point.value)}</b> 辆 · ${percent(point.value / (total || 1))}`,
    },
    title: {
      text: count(total),
      subtext: "24 h",
      left: "26.5%",
      top: "37%",
      textAlign: "center",
      itemGap: scale.px(2),
      textStyle: { color: COLOUR.text, fontSize: scale.px(19), fontFamily: FONT },
      subtextStyle: { color: COLOUR.faint, fontSize: scale.px(12) },
    },
    legend: {
      orient: "vertical",
      right: scale.px(6),
      top: "middle",
      itemWidth: scale.px(10),
      itemHeight: scale.px(10),
      itemGap: scale.px(11),
      icon: "roundRect",
      textStyle: {
        color: COLOUR.text,
        fontSize: scale.px(13),
        fontFamily: FONT,
        rich: { n: { width: scale.px(106) }, v: { color: COLOUR.faint, width: scale.px(48), align: "right" } },
      },
      formatter: (name: string) => `{n|${name}}{v|${percent(share(name))}}`,
    },
    series: [
      {
        type: "pie",
        radius: ["56%", "78%"],
        center: ["28%", "50%"],
        label: { show: false },
        itemStyle: { borderColor: COLOUR.panel, borderWidth: 2 },
        data: shown.map((type) => ({ name: type.name, value: type.value })),
      },
    ],
  };
}
