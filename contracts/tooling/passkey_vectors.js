// Makes tests/vectors/passkey.json: what a passkey answered, and what the verifier must say to it. With --write writes it.
// ECDSA signatures of Node are made with chance, so each run gives others; a test asks the contract about the committed ones.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { dataSlice, getBytes, id } from "ethers";
import { ROOT } from "./artifacts.js";
import { RP_ID } from "./chain.js";
import { PRESENT, VERIFIED, packed, passkey } from "./passkey.js";

export const FILE = path.join(ROOT, "tests", "vectors", "passkey.json");
const PRIVATE_KEY = id("consentry vector key: passkey");
const ORIGIN = "http://localhost:8042";
const CHALLENGE = id("a digest to be signed");

function produce() {
  const { x, y, answer } = passkey(PRIVATE_KEY);
  const site = { rpId: RP_ID, origin: ORIGIN };
  const good = answer(CHALLENGE, site);
  const sound = packed(good);
  const cases = [
    { name: "as it must be", good: true, answer: good, signature: sound },
    ...[
      ["another site's passkey", CHALLENGE, { ...site, rpId: "evil.example.org" }],
      ["another challenge", id("another digest"), site],
      ["the user present and not verified", CHALLENGE, { ...site, flags: PRESENT }],
      ["the user verified and not present", CHALLENGE, { ...site, flags: VERIFIED }],
      ["a passkey made, not used", CHALLENGE, { ...site, type: "webauthn.create" }],
    ].map(([name, challenge, how]) => {
      const given = answer(challenge, how);
      return { name, good: false, answer: given, signature: packed(given) };
    }),
    { name: "high s", good: false, signature: packed(good, { highS: true }) },
    {
      name: "cut off within the client data",
      good: false,
      signature: dataSlice(sound, 0, getBytes(sound).length - 64),
    },
    { name: "nothing", good: false, signature: "0x" },
    { name: "words of ones", good: false, signature: `0x${"ff".repeat(320)}` },
  ];
  return { rpId: RP_ID, origin: ORIGIN, privateKey: PRIVATE_KEY, x, y, challenge: CHALLENGE, cases };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = `${JSON.stringify(produce(), null, 1)}\n`;
  if (process.argv.includes("--write")) writeFileSync(FILE, text);
  else process.stdout.write(text);
}
