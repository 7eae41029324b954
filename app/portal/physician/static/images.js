// The studies that this person may see, asked of the gateway's DICOMweb as any viewer asks; whatever an archive says is
// shown as text.

import { signInAddress } from "../api.js";
import { element } from "../elements.js";
import { clearNotices, notice } from "../notices.js";
import { _, count, day } from "../words.js";

const form = document.getElementById("search");
const list = document.getElementById("studies");
const more = document.getElementById("more");
const said = document.getElementById("said");
const PAGE = 24;
const FIELDS = ["00081030", "00080061", "00100010", "00100021", "00201208"];

let offset = 0;
let turn = 0;

/** The first value of an element of a data set (PS3.18 F.2), as text. */
function text(study, tag) {
  const [value] = study[tag]?.Value ?? [];
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? (value.Alphabetic ?? value.Ideographic ?? value.Phonetic ?? "") : String(value);
}

function query() {
  const asked = new URLSearchParams({ limit: PAGE, offset });
  for (const tag of FIELDS) asked.append("includefield", tag);
  const { name, mrn, since, until } = form.elements;
  if (name.value.trim()) asked.set("PatientName", `*${name.value.trim().replaceAll("*", "").replaceAll("?", "")}*`);
  if (mrn.value.trim()) asked.set("PatientID", mrn.value.trim());
  if (since.value || until.value) asked.set("StudyDate", `${since.value.replaceAll("-", "")}-${until.value.replaceAll("-", "")}`);
  return asked;
}

/** A name as people write it: components in order, without the signs between them (PS3.5 §6.2.1). */
function named(value) {
  const [family = "", given = "", ...rest] = value.split("^");
  return [family, [given, ...rest].filter(Boolean).join(" ")].filter(Boolean).join(", ");
}

function card(study) {
  const uid = text(study, "0020000D");
  const date = text(study, "00080020");
  const patient = named(text(study, "00100010")) || text(study, "00100020");
  const title = text(study, "00081030") || (study["00080061"]?.Value ?? []).join(", ") || _("images");
  const picture = element("div", { class: "picture" }, document.getElementById("icon").content.cloneNode(true));
  const image = element("img", {
    alt: "",
    loading: "lazy",
    onload: () => picture.classList.add("there"),
    onerror: () => picture.classList.add("none"),
    src: `/dicom-web/studies/${encodeURIComponent(uid)}/thumbnail?viewport=192%2C192`,
  });
  picture.append(image);
  const when = /^\d{8}$/.test(date) ? day(date) : "";
  const mrn = [text(study, "00100020"), text(study, "00100021")].filter(Boolean).join(" · ");
  return element(
    "li",
    { class: "card study" },
    picture,
    element(
      "div",
      {},
      element("h2", {}, patient),
      element("p", {}, [title, when].filter(Boolean).join(", ")),
      element("p", { class: "soft small" }, mrn),
      element(
        "p",
        {},
        element(
          "a",
          { href: `/viewer/viewer?StudyInstanceUIDs=${encodeURIComponent(uid)}` },
          _("Open in the viewer"),
          element("span", { class: "unseen" }, `: ${patient}, ${title}`),
        ),
      ),
    ),
  );
}

async function load() {
  const mine = ++turn;
  more.disabled = true;
  said.textContent = _("Searching …");
  let answer;
  try {
    answer = await fetch(`/dicom-web/studies?${query()}`, { headers: { Accept: "application/dicom+json" } });
  } catch {
    return failed(mine, _("The gateway cannot be reached. Check your network, then try again."));
  }
  if (mine !== turn) return;
  if (answer.status === 401) return location.assign(signInAddress());
  if (answer.status === 503) return failed(mine, _("The gateway cannot read the chain just now, so it shows nothing. Please try again in a minute."));
  if (!answer.ok) return failed(mine, answer.status === 400 ? _("This cannot be searched for. Please check what you typed.") : _("The archive could not be searched just now. Please try again in a minute."));
  const studies = await answer.json();
  if (mine !== turn) return;
  clearNotices();
  list.append(...studies.map(card));
  offset += studies.length;
  const shown = list.children.length;
  said.textContent = shown === 0 ? _("Nothing that you may see fits.") : count("{number} study", "{number} studies", shown);
  more.hidden = studies.length < PAGE;
  more.disabled = false;
}

function failed(mine, words) {
  if (mine !== turn) return;
  said.textContent = "";
  more.disabled = false;
  notice("bad", words);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  offset = 0;
  list.replaceChildren();
  load();
});
more.addEventListener("click", load);
load();
