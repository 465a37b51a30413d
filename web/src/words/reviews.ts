// What a person found out about a case, in both languages.
import type { ReviewItem } from "../api/types.ts";

const REASONS = {
  misread: "误识别 misread", clock: "时钟故障 clock", same_owner: "同一车主 same owner", other: "其他 other",
} as const;

/** Of a false alarm with its reason, where one was given. */
export function outcomeOf(review: Pick<ReviewItem, "outcome" | "reason">): string {
  if (review.outcome === "confirmed") return "套牌属实 confirmed";
  return review.reason === null ? "误报 false" : `误报 false · ${REASONS[review.reason]}`;
}

/** A review counts for its case, though the case may have told more since: then it says so. */
export function saidBefore(review: Pick<ReviewItem, "alert_id">, shown: string): string | null {
  return review.alert_id === shown ? null : "先前步骤 earlier step";
}
