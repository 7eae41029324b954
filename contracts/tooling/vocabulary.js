// The words of tests/vectors and of docs/CHAIN.md, as numbers. Append only.
export const ACTIONS = { search: 1, view: 2, retrieve: 4, share: 8 };
export const PURPOSES = [
  "TREAT",
  "ETREAT",
  "HPAYMT",
  "HOPERAT",
  "HRESCH",
  "PATRQT",
  "FAMRQT",
  "PWATRNY",
  "PUBHLTH",
  "COC",
  "CAREMGT",
  "HQUALIMP",
];
export const EFFECTS = { deny: 0, permit: 1 };

export const actionBits = (names) => names.reduce((bits, name) => bits | known(ACTIONS, name), 0);
export const purposeBits = (names) => names.reduce((bits, name) => bits | (1 << purposeIndex(name)), 0);
export const purposeIndex = (name) => known(Object.fromEntries(PURPOSES.map((p, i) => [p, i])), name);
export const effectNumber = (name) => known(EFFECTS, name);

function known(table, name) {
  if (!(name in table)) throw new Error(`not in the vocabulary: ${name}`);
  return table[name];
}
