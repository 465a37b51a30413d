// One line for each case: the newest alert says what holds of it.
interface OfCase {
  readonly case_id: string;
}

/** `alerts` newest first; of each case the first one stays, in the same order. */
export function newestOfEachCase<Alert extends OfCase>(alerts: readonly Alert[]): readonly Alert[] {
  const known = new Set<string>();
  return alerts.filter((one) => !known.has(one.case_id) && known.add(one.case_id));
}

/** Why there is no page of evidence, by the type of the problem; null where the API did not answer. */
export function whyNoEvidence(type: string | null): string {
  if (type === "/problems/no-evidence") return "未存取证资料 not kept";
  if (type === "/problems/unknown-warning") return "预警已删除 deleted";
  if (type === "/problems/not-signed-in") return "请先登录 sign in first";
  return "暂时无法取得 try again later";
}
