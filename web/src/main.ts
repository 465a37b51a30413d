// The page: header with tabs, the big screen and the query page.
import "./style/base.css";
import "./style/panels.css";
import "./style/warnings.css";
import "./style/query.css";
import { SignInNeeded } from "./api/client.ts";
import { QueryPage } from "./query/queryPage.ts";
import { BigScreen } from "./screen/bigScreen.ts";
import { el } from "./screen/dom.ts";
import { SignInForm } from "./screen/signIn.ts";
import { PlatformClock } from "./words/time.ts";

const time = new PlatformClock();
const screen = new BigScreen(time);
const query = new QueryPage();
const signIn = new SignInForm(() => screen.restart());
const clock = el("time", { class: "clock" });

const tabs = (["screen", "query"] as const).map((name) => {
  const tab = el("a", { class: "tab", href: `#${name}`, "data-tab": name }, name === "screen" ? "大屏 Screen" : "查询 Query");
  return [name, tab] as const;
});

document.getElementById("app")?.append(
  el(
    "header",
    { class: "top" },
    el("nav", { class: "tabs" }, ...tabs.map(([, tab]) => tab), el("a", { class: "tab tab-plain", href: "/docs" }, "API")),
    el("h1", { class: "title" }, el("span", { class: "title-zh" }, "卡口智能监测大屏"), el("span", { class: "title-en" }, "Kakou")),
    el("div", { class: "top-right" }, screen.connection.root, clock),
  ),
  screen.root,
  query.root,
  signIn.root,
);

function turn(): void {
  const wanted = location.hash === "#query" ? "query" : "screen";
  for (const [name, tab] of tabs) tab.classList.toggle("is-here", name === wanted);
  screen.root.hidden = wanted !== "screen";
  query.root.hidden = wanted !== "query";
  if (wanted === "query") query.open();
}

function tick(): void {
  clock.textContent = time.text(Date.now());
}

screen.onSignInNeeded = (failure) => {
  if (failure instanceof SignInNeeded) signIn.open();
};
window.addEventListener("hashchange", turn);
turn();
tick();
setInterval(tick, 1_000);
screen.start();
