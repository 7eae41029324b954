// Prints gas figures, from receipts of a chain in this process.
import {
  TypedDataEncoder,
  Wallet,
  ZeroHash,
  concat,
  getAddress,
  dataSlice,
  id,
  keccak256,
  randomBytes,
  zeroPadValue,
} from "ethers";
import { packBatch } from "./batch.js";
import { FAR, RP_ID, stage } from "./chain.js";
import { typed } from "./messages.js";
import { packed, passkey } from "./passkey.js";

const START = 1_900_000_000;
const s = await stage(START);
const [, , , relayer, patient, doctor] = s.accounts;
const PATIENT = id("patient");

const gasOf = async (sent) => Number((await (await sent).wait()).gasUsed);
const random = () => `0x${Buffer.from(randomBytes(32)).toString("hex")}`;
const row = (title, ...cells) =>
  console.log(title.padEnd(28) + cells.map((cell) => String(cell).padStart(10)).join(""));

async function signed(signer, primaryType, message) {
  const contract =
    {
      Claim: s.patients,
      TeamChange: s.teams,
      EmergencyAccess: s.emergencies,
      EmergencyReview: s.emergencies,
    }[primaryType] ?? s.consents;
  const { domain, types } = typed(primaryType, contract.target);
  const known = new Set(types[primaryType].map(({ name }) => name));
  const whole = Object.entries({ words: "words", deadline: FAR, ...message }).filter(([name]) => known.has(name));
  return signer.signTypedData(domain, types, Object.fromEntries(whole));
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

async function termsOf(studies) {
  return {
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
}

async function consent(studies, relayed) {
  const terms = await termsOf(studies);
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

/** The same people with a passkey and with the glass broken, on a chain with or without a precompile for P-256. */
async function byPasskey(hardfork) {
  const t = await stage(START, hardfork);
  const owner = passkey(id("gas: passkey"));
  const signer = owner.signer(t.passkeys.target);
  const sign = (primaryType, contract, message) => {
    const { domain, types } = typed(primaryType, contract.target);
    const digest = TypedDataEncoder.hash(domain, types, { words: "words", deadline: FAR, ...message });
    return packed(owner.answer(digest, { rpId: RP_ID, origin: "https://images.example.org" }));
  };
  const claimKey = new Wallet(keccak256(concat([id("claim")])));
  await t.patients.connect(t.registrar).enrol(PATIENT, claimKey.address, FAR, 0);
  const claim = { words: "words", patientKey: PATIENT, controller: signer, deadline: FAR };
  const { domain, types } = typed("Claim", t.patients.target);
  const byClaimKey = await claimKey.signTypedData(domain, types, claim);
  const own = sign("Claim", t.patients, claim);
  const figures = [await gasOf(t.patients.claim(PATIENT, signer, byClaimKey, own, FAR, id("words")))];
  const terms = { ...(await termsOf(0)), epoch: 0 };
  const consentId = await t.consents.consentId(terms);
  const grant = sign("Consent", t.consents, terms);
  figures.push(await gasOf(t.consents.grantBySignature(terms, id("words"), FAR, signer, grant)));
  const revocation = sign("Revocation", t.consents, { patientKey: PATIENT, consentId });
  figures.push(await gasOf(t.consents.revokeBySignature(PATIENT, consentId, id("words"), FAR, signer, revocation)));
  const actor = getAddress(dataSlice(keccak256(signer), 12));
  await t.roles.setRole(id("EMERGENCY"), actor, 0, FAR);
  const glass = {
    patientKey: PATIENT,
    reasonHash: random(),
    validFrom: START,
    validUntil: START + 3600,
    salt: random(),
  };
  const broken = sign("EmergencyAccess", t.emergencies, glass);
  figures.push(await gasOf(t.emergencies.openBySignature(glass, id("words"), signer, broken)));
  return figures;
}

async function emergency() {
  const glass = {
    patientKey: PATIENT,
    reasonHash: random(),
    validFrom: START,
    validUntil: START + 3600,
    salt: random(),
  };
  await s.roles.setRole(id("EMERGENCY"), doctor.address, 0, FAR);
  await s.roles.setRole(id("AUDITOR"), patient.address, 0, FAR);
  const byHolder = await signed(doctor, "EmergencyAccess", glass);
  const relay = s.emergencies.connect(relayer);
  const opened = await gasOf(relay.openBySignature(glass, id("words"), doctor.address, byHolder));
  const emergencyId = await s.emergencies.emergencyId(glass, doctor.address);
  const finding = { emergencyId, finding: 1, noteHash: random() };
  const byAuditor = await signed(patient, "EmergencyReview", finding);
  const reviewed = await gasOf(
    relay.reviewBySignature(emergencyId, 1, finding.noteHash, id("words"), FAR, patient.address, byAuditor),
  );
  return [opened, reviewed];
}

console.log();
row("emergency", "open", "review");
row("  relayed", ...(await emergency()));

console.log();
row("passkey, relayed", "claim", "grant", "revoke", "emergency");
row("  with the precompile", ...(await byPasskey("osaka")));
row("  without it", ...(await byPasskey("prague")));
