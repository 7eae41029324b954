// Makes tests/vectors/typed_data.json: what was signed with ethers and accepted by the contracts. With --write writes it.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { AbiCoder, TypedDataEncoder, Wallet, ZeroHash, concat, id, keccak256, toUtf8Bytes, zeroPadValue } from "ethers";
import { ROOT } from "./artifacts.js";
import { packBatch } from "./batch.js";
import { EMERGENCY_DURATION, MOVE_DELAY, stage } from "./chain.js";
import { typed } from "./messages.js";

export const FILE = path.join(ROOT, "tests", "vectors", "typed_data.json");
const START = 1_900_000_000;
const DEADLINE = START + 30 * 24 * 3600;

const KEYS = {
  claim: id("consentry vector key: claim"),
  anna: id("consentry vector key: anna"),
  ben: id("consentry vector key: ben"),
  eva: id("consentry vector key: eva"),
  otto: id("consentry vector key: otto"),
};
const PATIENT = id("consentry vector: patient");
const DOCTOR = "0x00000000000000000000000000000000000D0C70";
const TEAM = id("care team");
const LONG_SIGNER = concat(["0x000000000000000000000000000000000000A256", id("key x"), id("key y")]);

const TERMS = {
  patientKey: PATIENT,
  grantee: zeroPadValue(DOCTOR, 32),
  effect: 1,
  actions: 7,
  purposes: 3,
  validFrom: START,
  validUntil: START + 365 * 24 * 3600,
  studies: [],
  dateFrom: 0,
  dateTo: 0,
  parent: ZeroHash,
  shareDepth: 0,
  epoch: 0,
  salt: id("salt one"),
};
const NAMED_STUDIES = {
  ...TERMS,
  grantee: TEAM,
  effect: 0,
  actions: 2,
  purposes: 4095,
  studies: [id("study one"), id("study two"), id("study three")].sort(),
  dateFrom: 20200229,
  dateTo: 20251231,
  salt: id("salt two"),
};
// Epoch 1: it can only land after the revocation below.
const SHAREABLE = {
  ...TERMS,
  grantee: null,
  actions: 15,
  shareDepth: 2,
  validFrom: START - 200,
  salt: id("salt four"),
};
const SHARED = { ...TERMS, grantee: TEAM, actions: 3, purposes: 1, dateFrom: 20240101, salt: id("salt five") };
/** Salt and words of a reason or a note; their hash is all that the chain sees. */
const REASON = { salt: id("reason salt"), text: "Bewusstlos nach Sturz – keine Angehörigen erreichbar" };
const NOTE = { salt: id("note salt"), text: "The patient was brought in unconscious. 記録あり" };
const LATER = { ...TERMS, epoch: 1, validUntil: 2 ** 48 - 1, studies: [id("study one")], salt: id("salt three") };

const GROUPS = [
  [group("basis one", DOCTOR, 1, 1)],
  [
    group("basis one", DOCTOR, 4_294_967_296, 3),
    group("basis two", `0x${"ff".repeat(20)}`, 7, 1),
    group("basis one", DOCTOR, 8, 2),
  ],
];

function group(basis, accessor, decisionBlock, count) {
  return {
    basis: id(basis),
    accessor,
    patientKey: PATIENT,
    decisionBlock,
    decisionBlockHash: id(`block ${decisionBlock}`),
    commitments: [...Array(count).keys()].map((i) => id(`commitment ${basis} ${decisionBlock} ${i}`)),
  };
}

/** keccak256 of 32 bytes of salt and the text as UTF-8. */
function saltedHash({ salt, text }) {
  return keccak256(concat([salt, toUtf8Bytes(text)]));
}

/** The id of an emergency, made here and not by the contract. */
function emergencyIdOf(contract, declared, actor) {
  const types = ["bytes32", "uint256", "address", "bytes32", "address", "bytes32", "uint48", "uint48", "bytes32"];
  const { patientKey, reasonHash, validFrom, validUntil, salt } = declared;
  const kind = id("consentry.emergency.v1");
  const values = [kind, 31337, contract, patientKey, actor, reasonHash, validFrom, validUntil, salt];
  return keccak256(AbiCoder.defaultAbiCoder().encode(types, values));
}

/** Signs every message, lets the contracts judge it, and returns the whole file as an object. */
export async function produce() {
  const { roles, patients, teams, emergencies, consents, log, passkeys, registrar, recorder, moveTo } = await stage(
    START - 100,
  );
  const wallets = Object.fromEntries(Object.entries(KEYS).map(([name, key]) => [name, new Wallet(key)]));
  const messages = [];

  const sign = async (primaryType, message, ...signers) => {
    const checkers = {
      Consent: consents,
      Consents: consents,
      EmergencyAccess: emergencies,
      EmergencyReview: emergencies,
      Revocation: consents,
      TeamChange: teams,
    };
    const contract = checkers[primaryType] ?? patients;
    const { domain, types } = typed(primaryType, contract.target);
    const signatures = {};
    for (const signer of signers) {
      signatures[signer] = await wallets[signer].signTypedData(domain, types, message);
    }
    const digest = TypedDataEncoder.hash(domain, types, message);
    messages.push({ primaryType, domain, types, message, wordsHash: id(message.words), digest, signatures });
    return signatures;
  };

  await patients.connect(registrar).enrol(PATIENT, wallets.claim.address, DEADLINE, 0);
  const claim = {
    words: "I take charge of my images at Sankt Anna Hospital.",
    patientKey: PATIENT,
    controller: wallets.anna.address.toLowerCase(),
    deadline: DEADLINE,
  };
  let by = await sign("Claim", claim, "claim", "anna");
  await patients.claim(PATIENT, claim.controller, by.claim, by.anna, DEADLINE, id(claim.words));

  const newController = wallets.ben.address.toLowerCase();
  await patients.connect(registrar).startMove(PATIENT, newController);
  const veto = {
    words: "I did not ask for this move. Stop it.",
    patientKey: PATIENT,
    moveNonce: 1,
    deadline: DEADLINE,
  };
  by = await sign("MoveVeto", veto, "anna");
  await patients.vetoMoveBySignature(PATIENT, by.anna, DEADLINE, id(veto.words));

  const named = {
    words: "Ben may act for me until the end of the year. – Größe, 名前",
    patientKey: PATIENT,
    guardian: LONG_SIGNER,
    validUntil: DEADLINE,
    guardianNonce: 0,
    deadline: DEADLINE,
  };
  by = await sign("GuardianChange", named, "anna");
  await patients.setGuardianBySignature(PATIENT, LONG_SIGNER, DEADLINE, by.anna, DEADLINE, id(named.words));
  const actors = [
    { signer: claim.controller, actor: await patients.controllerActor(PATIENT) },
    { signer: LONG_SIGNER, actor: await patients.guardianActor(PATIENT) },
  ];
  const removed = { ...named, words: "Nobody acts for me.", guardian: "0x", validUntil: 0, guardianNonce: 1 };
  by = await sign("GuardianChange", removed, "anna");
  await patients.setGuardianBySignature(PATIENT, "0x", 0, by.anna, DEADLINE, id(removed.words));

  await teams.createTeam(TEAM);
  await teams.setPart(TEAM, wallets.ben.address, 2, 0, DEADLINE);
  const change = {
    words: "I make Dr Weiß a member of the team.",
    team: TEAM,
    account: DOCTOR.toLowerCase(),
    part: 1,
    validFrom: START,
    validUntil: DEADLINE,
    teamNonce: 1,
    deadline: DEADLINE,
  };
  by = await sign("TeamChange", change, "ben");
  await teams.setPartBySignature(
    TEAM,
    change.account,
    1,
    START,
    DEADLINE,
    id(change.words),
    DEADLINE,
    wallets.ben.address,
    by.ben,
  );

  const consentIds = [];
  const grant = async (terms, words) => {
    by = await sign("Consent", { words, ...terms, deadline: DEADLINE }, "anna");
    await consents.grantBySignature(terms, id(words), DEADLINE, claim.controller, by.anna);
    consentIds.push({ terms, id: await consents.consentId(terms) });
  };
  await grant(TERMS, "Dr Weiß may find, view and fetch all my images.");
  await grant(NAMED_STUDIES, "The team may not view three of my studies.");

  // Ben is a physician: Anna lets him share on, and he does; both of hers and one of his in a signature each.
  await roles.setRole(id("PHYSICIAN"), wallets.ben.address, 0, DEADLINE);
  const shareable = { ...SHAREABLE, grantee: zeroPadValue(wallets.ben.address.toLowerCase(), 32) };
  const several = [shareable, { ...TERMS, effect: 0, actions: 8, salt: id("salt six") }];
  const all = { words: "Ben may share on, Dr Weiß may not.", grants: several, deadline: DEADLINE };
  by = await sign("Consents", all, "anna");
  await consents.grantAllBySignature(several, id(all.words), DEADLINE, claim.controller, by.anna);
  for (const terms of several) consentIds.push({ terms, id: await consents.consentId(terms) });
  const shared = { ...SHARED, parent: await consents.consentId(shareable) };
  const onward = { words: "The team may see what I may see.", ...shared, deadline: DEADLINE };
  by = await sign("Consent", onward, "ben");
  await consents.grantBySignature(shared, id(onward.words), DEADLINE, wallets.ben.address, by.ben);
  consentIds.push({ terms: shared, id: await consents.consentId(shared) });

  const revocation = {
    words: "Dr Weiß may no longer see my images.",
    patientKey: PATIENT,
    consentId: consentIds[0].id,
    deadline: DEADLINE,
  };
  by = await sign("Revocation", revocation, "anna");
  await consents.revokeBySignature(
    PATIENT,
    revocation.consentId,
    id(revocation.words),
    DEADLINE,
    claim.controller,
    by.anna,
  );
  await grant(LATER, "Dr Weiß may see one study.");

  await patients.connect(registrar).startMove(PATIENT, newController);
  await moveTo(START + MOVE_DELAY);
  const acceptance = {
    words: "I take over the images of this patient.",
    patientKey: PATIENT,
    controller: newController,
    moveNonce: 2,
    deadline: DEADLINE,
  };
  by = await sign("MoveAcceptance", acceptance, "ben");
  await patients.finishMove(PATIENT, by.ben, DEADLINE, id(acceptance.words));

  // Eva breaks the glass twice, and Otto judges both.
  await roles.setRole(id("EMERGENCY"), wallets.eva.address, 0, DEADLINE);
  await roles.setRole(id("AUDITOR"), wallets.otto.address, 0, DEADLINE);
  const emergencyIds = [];
  for (const [number, finding] of [1, 2].entries()) {
    const declared = {
      patientKey: PATIENT,
      reasonHash: saltedHash(REASON),
      validFrom: START + MOVE_DELAY + number,
      validUntil: START + MOVE_DELAY + EMERGENCY_DURATION,
      salt: id(`emergency salt ${number}`),
    };
    const glass = { words: "I need to see the images of this patient at once.", ...declared };
    by = await sign("EmergencyAccess", glass, "eva");
    await emergencies.openBySignature(declared, id(glass.words), wallets.eva.address, by.eva);
    const emergencyId = emergencyIdOf(emergencies.target, declared, wallets.eva.address);
    if ((await emergencies.emergency(emergencyId)).actor !== wallets.eva.address) throw new Error("another id");
    emergencyIds.push({ declared, reason: REASON, actor: wallets.eva.address, id: emergencyId });
    const judged = {
      words: finding === 1 ? "This was justified." : "This was not justified.",
      emergencyId,
      finding,
      noteHash: saltedHash(NOTE),
      deadline: DEADLINE,
    };
    by = await sign("EmergencyReview", judged, "otto");
    const { words, noteHash } = judged;
    await emergencies.reviewBySignature(
      emergencyId,
      finding,
      noteHash,
      id(words),
      DEADLINE,
      wallets.otto.address,
      by.otto,
    );
  }

  const batches = [];
  const start = await log.head();
  for (const groups of GROUPS) {
    const batch = packBatch(groups);
    const [expectedSeq, prevHead] = [Number(await log.nextSeq()), await log.head()];
    await log.connect(recorder).record(expectedSeq, prevHead, batch);
    const [head, nextSeq] = [await log.head(), Number(await log.nextSeq())];
    batches.push({ expectedSeq, prevHead, groups, batch, head, nextSeq });
  }
  const startOf = AbiCoder.defaultAbiCoder().encode(
    ["bytes32", "uint256", "address"],
    [id("consentry.log.v1"), 31337, log.target],
  );
  if (keccak256(startOf) !== start) throw new Error("the log starts from another head");

  const contracts = {
    ConsentryRoles: roles,
    PatientRegistry: patients,
    CareTeams: teams,
    EmergencyAccess: emergencies,
    ConsentRegistry: consents,
    AccessLog: log,
    PasskeyVerifier: passkeys,
  };
  return {
    chainId: 31337,
    contracts: Object.fromEntries(Object.entries(contracts).map(([name, contract]) => [name, contract.target])),
    privateKeys: KEYS,
    actors,
    messages,
    consentIds,
    emergencyIds,
    log: { start, batches },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = `${JSON.stringify(await produce(), null, 1)}\n`;
  if (process.argv.includes("--write")) writeFileSync(FILE, text);
  else process.stdout.write(text);
}
