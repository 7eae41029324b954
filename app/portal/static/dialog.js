// Questions and dialogs, over <dialog>: the browser keeps the focus inside, closes them with Escape and gives the focus back.

import { element } from "./elements.js";
import { _ } from "./words.js";

let numbered = 0;

/** A dialog of these parts, not yet open, and removed when it closes. `title` labels it. */
export function dialog(title, ...parts) {
  const heading = `dialog-${++numbered}`;
  const made = element("dialog", { "aria-labelledby": heading }, element("h2", { id: heading }, title), ...parts);
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  return made;
}

/** Ask before something is done: true if the reader wants it. */
export function confirmed({ title, parts, action, danger = false }) {
  return new Promise((resolve) => {
    const answer = (yes) => () => {
      resolve(yes);
      asking.close();
    };
    const asking = dialog(
      title,
      ...parts,
      element(
        "p",
        { class: "actions" },
        element("button", { type: "button", class: danger ? "danger" : null, onclick: answer(true) }, action),
        element("button", { type: "button", class: "quiet", onclick: answer(false) }, _("Cancel")),
      ),
    );
    asking.addEventListener("close", () => resolve(false));
    asking.showModal();
  });
}
