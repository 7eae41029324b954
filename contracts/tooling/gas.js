// Prints gas figures, from receipts of a chain in this process.
import { Wallet, concat, id, keccak256, randomBytes, zeroPadValue, ZeroHash } from "ethers";
import { packBatch } from "./batch.js";
import { FAR, stage } from "./chain.js";
import { typed } from "./messages.js";

const START = 1_900_000_000;
const s = await stage(START);
const [, , , relayer, patient, doctor] = s.accounts;
const PATIENT = id("patient");

const gasOf = async (sent) => Number((await (await sent).wait()).gasUsed);
const random = () => `0x${Buffer.from(randomBytes(32)).toString("hex")}`;
const row = (title, ...cells) =>
  console.log(title.padEnd(28) + cells.map((cell) => String(cell).padStart(10)).join(""));

async function signed(signer, primaryType, message) {
  const contract = { Claim: s.patients, TeamChange: s.teams }[primaryType] ?? s.consents;
  const { domain, types } = typed(primaryType, contract.target);
  return signer.signTypedData(domain, types, { words: "words", deadline: FAR, ...message });
}

async function accesses(count, grouped) {
  const group = (commitments) => ({
    basis: random(),
    accessor: doctor.address,
    patientKey: PATIENT,
    decisionBlock: 12_345_678,
    decisionBlockHash: random(),
    commitments,
  });
  const commitments = [...Array(count)].map(random);
  const batch = packBatch(grouped ? [group(commitments)] : commitments.map((c) => group([c])));
  const sent = s.log.connect(s.recorder).record(await s.log.nextSeq(), await s.log.head(), batch);
  return Math.round((await gasOf(sent)) / count);
}

async function people() {
  const claimKey = new Wallet(keccak256(concat([id("claim")])));
  const enrol = await gasOf(s.patients.connect(s.registrar).enrol(PATIENT, claimKey.address, FAR, 0));
  const controller = patient.address.toLowerCase();
  const message = { patientKey: PATIENT, controller };
  const byClaimKey = await signed(claimKey, "Claim", message);
  const own = await signed(patient, "Claim", message);
  const words = id("words");
  const claim = await gasOf(s.patients.connect(relayer).claim(PATIENT, controller, byClaimKey, own, FAR, words));
  return { enrol, claim };
}

async function consent(studies, relayed) {
  const terms = {
    patientKey: PATIENT,
    grantee: zeroPadValue(doctor.address, 32),
    effect: 1,
    actions: 7,
    purposes: 1,
    validFrom: START,
    validUntil: START + 365 * 24 * 3600,
    studies: [...Array(studies)].map(random).sort(),
    dateFrom: 0,
    dateTo: 0,
    parent: ZeroHash,
    shareDepth: 0,
    epoch: await s.consents.epoch(PATIENT),
    salt: random(),
  };
  const consentId = await s.consents.consentId(terms);
  const relay = s.consents.connect(relayer);
  const signer = patient.address;
  if (!relayed) {
    const grant = await gasOf(s.consents.connect(patient).grant(terms));
    return [grant, await gasOf(s.consents.connect(patient).revoke(PATIENT, consentId))];
  }
  const words = id("words");
  const byGrantor = await signed(patient, "Consent", terms);
  const grant = await gasOf(relay.grantBySignature(terms, words, FAR, signer, byGrantor));
  const revocation = await signed(patient, "Revocation", { patientKey: PATIENT, consentId });
  return [grant, await gasOf(relay.revokeBySignature(PATIENT, consentId, words, FAR, signer, revocation))];
}

// The first batch pays for storage that all later ones find.
await accesses(1, true);
row("gas per access, N =", 1, 10, 100, 500);
for (const grouped of [false, true]) {
  const figures = [];
  for (const count of [1, 10, 100, 500]) figures.push(await accesses(count, grouped));
  row(grouped ? "  grouped" : "  ungrouped", ...figures);
}

console.log();
const { enrol, claim } = await people();
row("patient", "enrol", "claim");
row("  relayed claim", enrol, claim);

console.log();
row("consent", "grant", "revoke");
await consent(0, false);
for (const studies of [0, 1, 10]) {
  row(`  direct, ${studies || "all"} studies`, ...(await consent(studies, false)));
  row(`  relayed, ${studies || "all"} studies`, ...(await consent(studies, true)));
}
