// Written by `python -m serving.typescript` from serving/shapes.py. Do not edit.

export interface PassQuery {
  hphm?: string | null;
  kkmc?: string | null;
  start?: string | null;
  end?: string | null;
  hpzl?: string | null;
  fxlx?: string | null;
  page?: number;
  size?: number;
  cursor?: null;
}

export interface PassItem {
  gcxh: string;
  xzqhmc: string;
  kkmc: string;
  fxlx: string;
  gcsj: string;
  hpzl: string;
  hphm: string;
  clppxh: string;
  province: string;
  is_weekend: number;
  is_peak_hour: number;
  vehicle_type_name: string;
}

export interface PassPage {
  total: number;
  page: number;
  size: number;
  next_cursor: string | null;
  items: PassItem[];
}

export interface CityFlow {
  today: number;
  last_5_min: number;
  per_second: number;
  observed_share: number | null;
  updated_at: string;
}

export interface NamedValue {
  name: string;
  value: number;
}

export interface HourFlow {
  hour: number;
  value: number;
  forecast: number | null;
  low: number | null;
  high: number | null;
}

export interface AlertPassItem {
  gcxh: string;
  kkmc: string;
  kkmc_name: string;
  gcsj: string;
  clppxh: string;
}

export interface EvidenceText {
  zh: string;
  en: string;
}

export interface EvidenceItem {
  kind: string;
  weight: number;
  text: EvidenceText;
}

export interface AlertItem {
  alert_id: string;
  version: number;
  verdict: "cloned_plate" | "misread" | "clock_fault" | "undecided";
  confidence: number;
  severity: "low" | "medium" | "high" | "critical";
  hphm: string;
  hpzl: string;
  first: AlertPassItem;
  second: AlertPassItem;
  gap_seconds: number;
  min_travel_seconds: number | null;
  distance_km: number | null;
  implied_kmh: number | null;
  evidence: EvidenceItem[];
  case_id: string;
  step: number;
  status: "raised" | "withdrawn";
  rule_version: string;
  model_version: string | null;
  detected_at: string;
}

export interface ReviewInput {
  outcome: "confirmed" | "false";
  reason?: "misread" | "clock" | "same_owner" | "other" | null;
  note?: string;
  reviewer?: string | null;
}

export interface ReviewItem {
  id: number;
  alert_id: string;
  outcome: "confirmed" | "false";
  reason: "misread" | "clock" | "same_owner" | "other" | null;
  note: string;
  reviewer: string;
  created_at: string;
}

export interface CaseReview {
  alert_id: string;
  review: ReviewItem;
}

export interface FlowPrediction {
  predicted_flow: number;
  low: number;
  high: number;
  model_version: string;
}

export interface Gate {
  kkmc: string;
  name: string;
  xzqhmc: string;
  road: string;
  stake: string;
  boundary: string;
  lon: number | null;
  lat: number | null;
}

export interface DetectionCounts {
  withheld: number | null;
  late: number | null;
  future: number | null;
  warnings_today: number | null;
}

export interface Login {
  username: string;
  password: string;
}

export interface Token {
  access_token: string;
  expires_in: number;
}

export interface Health {
  status: "ok";
  timestamp: string;
  version: string;
}

export interface Readiness {
  status: "ready";
  timestamp: string;
  checks: Record<string, string>;
}

export interface InvalidField {
  field: string;
  message: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  request_id?: string | null;
  errors?: InvalidField[] | null;
}
