// How a gate is called on the screen: its long Chinese name does not fit anywhere.
import type { Gate } from "../api/types.ts";

export type GateNames = ReadonlyMap<string, Gate>;

export function byCodename(gates: readonly Gate[]): GateNames {
  return new Map(gates.map((gate) => [gate.kkmc, gate]));
}

/** Road, stake and district: `G104 K873 睢宁县`; a gate that nobody described yet keeps its codename. */
export function shortName(codename: string, gates: GateNames): string {
  const gate = gates.get(codename);
  if (!gate || !gate.road) return codename;
  return [gate.road, gate.stake, gate.xzqhmc].filter(Boolean).join(" ");
}

/** Road and stake alone, for a label on the schematic. */
export function roadName(gate: Gate): string {
  return [gate.road || gate.kkmc, gate.stake].filter(Boolean).join(" ");
}

export function fullName(codename: string, gates: GateNames): string {
  return gates.get(codename)?.name || codename;
}
