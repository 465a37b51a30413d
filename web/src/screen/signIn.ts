// Asks for user and password where the page brought no cookie: behind a proxy, or on another machine.
import { ApiProblem, signIn } from "../api/client.ts";
import { bilingual, el } from "./dom.ts";

export class SignInForm {
  readonly root: HTMLElement;
  private readonly user = el("input", { name: "username", autocomplete: "username", value: "admin", required: "" });
  private readonly password = el("input", {
    name: "password", type: "password", autocomplete: "current-password", required: "",
  });
  private readonly error = el("p", { class: "form-error", role: "alert" });

  constructor(onDone: () => void) {
    const form = el(
      "form",
      { class: "sign-in" },
      el("h2", {}, bilingual("登录", "sign in")),
      el("label", {}, bilingual("用户", "user"), this.user),
      el("label", {}, bilingual("密码", "password"), this.password),
      el("button", { type: "submit", class: "button-main" }, "登录 Sign in"),
      this.error,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit(onDone);
    });
    this.root = el("div", { class: "sign-in-shade", hidden: "" }, form);
  }

  open(): void {
    if (!this.root.hidden) return;
    this.root.hidden = false;
    this.password.focus();
  }

  private async submit(onDone: () => void): Promise<void> {
    this.error.textContent = "";
    try {
      await signIn(this.user.value, this.password.value);
      this.password.value = "";
      this.root.hidden = true;
      onDone();
    } catch (error) {
      this.error.textContent =
        error instanceof ApiProblem && error.problem.status === 429
          ? `登录失败次数过多，请稍候。${error.message}`
          : error instanceof ApiProblem && error.problem.status === 401
            ? "用户或密码不对 · wrong user or password"
            : "暂时无法登录 · the API does not answer";
    }
  }
}
