// Days of a form, in the reader's own time, as the Unix seconds that windows are made of.

function midnight(text, later) {
  const [year, month, date] = text.split("-").map(Number);
  return Math.floor(new Date(year, month - 1, date + later).getTime() / 1000);
}

/** The form's window: from the first day's beginning (left out: now) until the last day is over. */
export function windowOf({ from, until }) {
  const end = { valid_until: midnight(until.value, 1) };
  return from?.value ? { valid_from: midnight(from.value, 0), ...end } : end;
}
