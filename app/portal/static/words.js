// What scripts say, in the reader's language: a script marks its English, and the page brings the texts as data.

const texts = JSON.parse(document.getElementById("script-words")?.textContent ?? "{}");
export const language = document.documentElement.lang || "en";
// Which English writes dates as the pages do
const locale = language === "en" ? "en-GB" : language;
const plural = new Intl.PluralRules(locale);
const days = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeZone: "UTC" });
// As in app/core/signing/words.py and app/portal/language.py
const LAST_DATE = 253_402_300_799;
const YEAR_S = 31_556_952;
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" });

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The text in the reader's language, with `values` in place of `{name}`. */
export function _(text, values = {}) {
  return filled(texts[text] ?? text, values);
}

/** The form that goes with `number`, which stands for `{number}`. */
export function count(one, many, number, values = {}) {
  const forms = texts[one];
  const text = forms ? (forms[plural.select(number)] ?? forms.other) : number === 1 ? one : many;
  return filled(text, { number: number.toLocaleString(locale), ...values });
}

/** A time (Unix seconds) in the reader's own time; after the last date that there is a form for the year, about. */
export function moment(at) {
  if (at > LAST_DATE) return _("the year {year}", { year: 1970 + Math.floor(at / YEAR_S) });
  return moments.format(new Date(at * 1000));
}

/** A DICOM date (PS3.5 §6.2, DA: 20260314), which has no time zone. */
export function day(date) {
  return days.format(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6, 8))));
}
