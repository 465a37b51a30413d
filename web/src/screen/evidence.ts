// The button that opens the page of evidence of an alert in a tab of its own.
import { api, ApiProblem } from "../api/client.ts";
import { whyNoEvidence } from "../words/cases.ts";
import { bilingual, el } from "./dom.ts";

const words = () => bilingual("取证单", "evidence");
/** How long the page can be loaded again in its tab, and how long a refusal is shown; milliseconds. */
const KEPT = 600_000;
const SHOWN = 5_000;

export function evidenceButton(alertId: string): HTMLElement {
  const button = el("button", { type: "button", class: "warning-evidence" }, words());
  button.addEventListener("click", () => void open(button, alertId));
  return button;
}

/** The page is fetched and not linked to: where the token is kept for this tab, a link could not carry it. */
async function open(button: HTMLButtonElement, alertId: string): Promise<void> {
  // A browser lets a page open a tab only while it answers a click, so before anything is waited for.
  const tab = window.open("", "_blank");
  button.disabled = true;
  try {
    const page = new Blob([await api.evidence(alertId)], { type: "text/html;charset=utf-8" });
    const address = URL.createObjectURL(page);
    setTimeout(() => URL.revokeObjectURL(address), KEPT);
    tab?.location.replace(address);
  } catch (error) {
    tab?.close();
    button.textContent = whyNoEvidence(error instanceof ApiProblem ? error.problem.type : null);
    setTimeout(() => button.replaceChildren(words()), SHOWN);
  } finally {
    button.disabled = false;
  }
}
