// Asks the API. On the machine itself the page's cookie opens it; elsewhere a person signs in and the token is kept
// for this tab alone.
import type {
  AlertItem, CaseReview, CityFlow, DetectionCounts, Gate, HourFlow, NamedValue, PassPage, PassQuery, Problem, Token,
} from "./types.ts";

const TIMEOUT = 10_000;
const TOKEN_KEY = "kakou-token";

export class ApiProblem extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

export class SignInNeeded extends ApiProblem {}

export const api = {
  cityFlow: () => get<CityFlow>("/api/stats/city_flow"),
  gateCounts: () => get<NamedValue[]>("/api/stats/kkmc_count?limit=1000&hours=24"),
  hourlyFlow: (kkmc: string | null) =>
    get<HourFlow[]>(`/api/stats/hourly_flow${kkmc ? `?kkmc=${encodeURIComponent(kkmc)}` : ""}`),
  origins: () => get<NamedValue[]>("/api/stats/map_data?hours=24"),
  vehicleTypes: () => get<NamedValue[]>("/api/stats/vehicle_type?hours=24"),
  warnings: () => get<AlertItem[]>("/api/warnings/realtime?limit=30"),
  /** What counts of the cases of some warnings, asked for all of them at once. */
  reviews: (alertIds: readonly string[]) =>
    alertIds.length === 0
      ? Promise.resolve<CaseReview[]>([])
      : get<CaseReview[]>(`/api/reviews?${alertIds.map((id) => `alert_id=${encodeURIComponent(id)}`).join("&")}`),
  /** The page of evidence of an alert or case, as HTML. */
  evidence: (name: string) => ask(`/api/warnings/${name}/evidence`, { method: "GET" }, (answer) => answer.text()),
  detection: () => get<DetectionCounts>("/api/stats/detection"),
  gates: () => get<Gate[]>("/api/gates"),
  query: (wanted: PassQuery) => ask<PassPage>("/api/query", post(wanted)),
};

/** Changes user and password for a token of this tab. */
export async function signIn(username: string, password: string): Promise<void> {
  const token = await send<Token>("/api/login", post({ username, password }));
  sessionStorage.setItem(TOKEN_KEY, token.access_token);
}

function get<T>(path: string): Promise<T> {
  return ask<T>(path, { method: "GET" });
}

function post(body: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
}

type Reader<T> = (answer: Response) => Promise<T>;

const asJson = <T>(answer: Response) => answer.json() as Promise<T>;

/** The cookie lives for a day and a screen for months: when it has run out, asking for the page renews it. */
async function ask<T>(path: string, init: RequestInit, read: Reader<T> = asJson): Promise<T> {
  try {
    return await send<T>(path, init, read);
  } catch (error) {
    if (!(error instanceof SignInNeeded)) throw error;
    sessionStorage.removeItem(TOKEN_KEY);
    await renewCookie();
    return send<T>(path, init, read);
  }
}

let renewal: Promise<unknown> | null = null;

function renewCookie(): Promise<unknown> {
  renewal ??= fetch("/", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) }).finally(() => {
    renewal = null;
  });
  return renewal;
}

async function send<T>(path: string, init: RequestInit, read: Reader<T> = asJson): Promise<T> {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const answer = await fetch(path, { ...init, headers, signal: AbortSignal.timeout(TIMEOUT) });
  if (answer.ok) return read(answer);
  const problem = await readProblem(answer);
  throw answer.status === 401 && problem.type === "/problems/not-signed-in"
    ? new SignInNeeded(problem)
    : new ApiProblem(problem);
}

async function readProblem(answer: Response): Promise<Problem> {
  try {
    return (await answer.json()) as Problem;
  } catch {
    return { type: "about:blank", title: answer.statusText, status: answer.status, detail: `HTTP ${answer.status}` };
  }
}
