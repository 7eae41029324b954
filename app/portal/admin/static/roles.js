// Gives and withdraws roles, by the administrator's own wallet.

import { post } from "../api.js";
import { confirmed } from "../dialog.js";
import { element } from "../elements.js";
import { noticeOnNextPage } from "../notices.js";
import { transacted } from "../transact.js";
import { _ } from "../words.js";
import { windowOf } from "./days.js";

const form = document.getElementById("role");

// An invitation that led to an account leads here
if (/^#0x[0-9a-f]{40}$/i.test(location.hash)) form.elements.account.value = location.hash.slice(1);

const find = ({ roles }, role, account) => roles.find((one) => one.role === role && one.account.toLowerCase() === account.toLowerCase());

async function given(title, asked, settled, done) {
  const issued = await transacted({
    title,
    issue: () => post("/api/roles/transactions", asked),
    follow: () => "/api/roles",
    settled: (view, made) => settled(find(view, asked.role, asked.account), made),
    done,
  });
  if (issued === null) return;
  noticeOnNextPage("good", done);
  location.reload();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { role, account } = form.elements;
  await given(
    _("Give a role"),
    { role: role.value, account: account.value, ...windowOf(form.elements) },
    (held, made) => held?.valid_from === made.valid_from && held.valid_until === made.valid_until,
    _("The chain has it: the role counts by its days."),
  );
});

for (const card of document.querySelectorAll(".held")) {
  const { role, account } = card.dataset;
  card.querySelector(".replace").addEventListener("click", () => {
    form.elements.role.value = role;
    form.elements.account.value = account;
    form.scrollIntoView({ block: "nearest" });
    form.elements.until.focus();
  });
  card.querySelector(".withdraw").addEventListener("click", async () => {
    const sure = await confirmed({
      title: _("Withdraw this role?"),
      parts: [element("p", {}, element("code", {}, account)), element("p", {}, _("It ends with the block that holds this, wherever they are signed in."))],
      action: _("Take away"),
      danger: true,
    });
    if (!sure) return;
    await given(_("Withdraw a role"), { role, account, valid_until: null }, (held) => held === undefined, _("The role is withdrawn."));
  });
}
