// What a plate looks like: blue for small vehicles, yellow for large, green for new energy.

export type PlateColour = "blue" | "yellow" | "green";

export function plateColour(hphm: string, hpzl: string): PlateColour {
  if (hpzl === "51" || hpzl === "52" || [...hphm].length === 8) return "green";
  return hpzl === "01" ? "yellow" : "blue";
}

/** `苏C12345` → `苏C·12345`, as on the metal. */
export function spaced(hphm: string): string {
  const signs = [...hphm];
  return signs.length > 3 ? `${signs.slice(0, 2).join("")}·${signs.slice(2).join("")}` : hphm;
}
