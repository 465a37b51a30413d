// Colours and type of the charts; the same values are in style/base.css.

export const COLOUR = {
  text: "#cfe3ff",
  faint: "#6f8db8",
  line: "rgba(96, 150, 220, 0.16)",
  cyan: "#39c8ff",
  blue: "#2f7bff",
  teal: "#2fe0c0",
  amber: "#ffb547",
  red: "#ff4d5e",
  violet: "#9d8bff",
  panel: "#0a1730",
} as const;

export const SERIES = ["#39c8ff", "#2fe0c0", "#ffb547", "#9d8bff", "#ff8f6b", "#7fd85f", "#6f8db8", "#e879c6"] as const;

export const FONT = '"Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif';

/** How large a letter of 12 px at 1920 is here: charts grow and shrink with the page. */
export interface Scale {
  readonly px: (size: number) => number;
}

export const FULL_SIZE: Scale = { px: (size) => size };

export function tooltip(scale: Scale): Record<string, unknown> {
  return {
    backgroundColor: "rgba(6, 16, 36, 0.94)",
    borderColor: "rgba(57, 200, 255, 0.4)",
    borderWidth: 1,
    padding: [8, 12],
    textStyle: { color: COLOUR.text, fontSize: scale.px(13), fontFamily: FONT },
    confine: true,
  };
}

/** Names come from data and tooltips are HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
