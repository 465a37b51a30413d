// One line for each case: the newest alert says what holds of it.
interface OfCase {
  readonly case_id: string;
}

/** `alerts` newest first; of each case the first one stays, in the same order. */
export function newestOfEachCase<Alert extends OfCase>(alerts: readonly Alert[]): readonly Alert[] {
  const known = new Set<string>();
  return alerts.filter((one) => !known.has(one.case_id) && known.add(one.case_id));
}
