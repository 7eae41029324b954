// The truth table of decide(): tests/vectors/policy.json, asked of the contracts. tests/vectors/README.md describes it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { Wallet, ZeroHash, id, zeroPadValue } from "ethers";
import { ROOT } from "../tooling/artifacts.js";
import { FAR, stage } from "../tooling/chain.js";
import { typed } from "../tooling/messages.js";
import { ACTIONS, actionBits, effectNumber, purposeBits, purposeIndex } from "../tooling/vocabulary.js";

const { t0, worlds } = JSON.parse(readFileSync(path.join(ROOT, "tests", "vectors", "policy.json"), "utf8"));
const [MEMBER, LEAD] = [1, 2];
const SETUP_SECONDS = 5000;
// Late enough for an emergency that begins at t0 or within the minute that the chain's clock may be behind.
const GLASS_SECONDS = 30;
const FINDINGS = { justified: 1, not_justified: 2 };
const OWN_BASES = { SELF: id("consentry.basis.self"), GUARDIAN: id("consentry.basis.guardian") };

const patientKey = (name) => id(`patient ${name}`);
const studyKey = (name) => (name === null ? ZeroHash : id(`study ${name}`));

/** The contracts in the state that a world describes, reached before t0. */
async function build(world) {
  const s = await stage(t0 - SETUP_SECONDS);
  const cast = {};
  const actor = (name) => (cast[name] ??= s.accounts[3 + Object.keys(cast).length]);
  for (const { role, actor: holder, from, until } of world.roles) {
    await s.roles.setRole(id(role), actor(holder).address, t0 + from, t0 + until);
  }
  for (const { patient, controller, guardian, ward_until: day } of world.patients) {
    const claimKey = new Wallet(id(`claim key ${patient}`));
    const key = patientKey(patient);
    await s.patients.connect(s.registrar).enrol(key, claimKey.address, FAR, day === undefined ? 0 : t0 + day);
    if (controller === null) continue;
    const by = actor(controller);
    const { domain, types } = typed("Claim", s.patients.target);
    const claim = { words: "", patientKey: key, controller: by.address.toLowerCase(), deadline: FAR };
    const byClaimKey = await claimKey.signTypedData(domain, types, claim);
    const own = await by.signTypedData(domain, types, claim);
    await s.patients.claim(key, claim.controller, byClaimKey, own, FAR, id(""));
    if (guardian === null) continue;
    await s.patients.connect(by).setGuardian(key, actor(guardian.actor).address, t0 + guardian.until);
  }
  for (const { team, members } of world.teams ?? []) {
    await s.teams.createTeam(id(`team ${team}`));
    await s.teams.setPart(id(`team ${team}`), s.admin.address, LEAD, 0, FAR);
    for (const { actor: who, from, until } of members) {
      await s.teams.setPart(id(`team ${team}`), actor(who).address, MEMBER, t0 + from, t0 + until);
    }
  }
  const ids = { ...OWN_BASES };
  for (const [number, c] of world.consents.entries()) {
    const terms = {
      patientKey: patientKey(c.patient),
      grantee: c.grantee.team ? id(`team ${c.grantee.team}`) : zeroPadValue(actor(c.grantee).address, 32),
      effect: effectNumber(c.effect),
      actions: actionBits(c.actions),
      purposes: purposeBits(c.purposes),
      validFrom: t0 + c.from,
      validUntil: t0 + c.until,
      studies: c.studies === "all" ? [] : c.studies.map(studyKey).sort(),
      dateFrom: c.dates?.[0] ?? 0,
      dateTo: c.dates?.[1] ?? 0,
      parent: c.parent === undefined ? ZeroHash : ids[c.parent],
      shareDepth: c.share_depth ?? 0,
      epoch: 0,
      salt: id(String(number)),
    };
    ids[c.name] = await s.consents.consentId(terms);
    await s.consents.connect(actor(c.by)).grant(terms);
  }
  for (const c of world.consents.filter(({ revoked }) => revoked)) {
    // Whoever acts for the patient takes back what was shared on.
    const by = c.parent === undefined ? c.by : world.patients.find(({ patient }) => patient === c.patient).controller;
    await s.consents.connect(actor(by)).revoke(patientKey(c.patient), ids[c.name]);
  }
  if (world.emergencies) await s.moveTo(t0 - GLASS_SECONDS);
  for (const { name, patient, actor: who, from, until, finding, by } of world.emergencies ?? []) {
    const declared = {
      patientKey: patientKey(patient),
      reasonHash: id(`reason ${name}`),
      validFrom: t0 + from,
      validUntil: t0 + until,
      salt: id(`emergency ${name}`),
    };
    ids[name] = await s.emergencies.emergencyId(declared, actor(who).address);
    await s.emergencies.connect(actor(who)).open(declared);
    if (finding) await s.emergencies.connect(actor(by)).review(ids[name], FINDINGS[finding], id("note"));
  }
  for (const { patient } of world.patients.filter(({ erased }) => erased)) {
    await s.patients.connect(s.registrar).erase(patientKey(patient));
  }
  return { ...s, actor, ids };
}

for (const world of worlds) {
  test(world.name, async () => {
    const { consents, moveTo, actor, ids } = await build(world);
    const ask = (r, action, purpose) =>
      consents.decide({
        actor: actor(r.actor).address,
        patientKey: patientKey(r.patient),
        studyKey: studyKey(r.study),
        studyDate: r.date ?? 0,
        action,
        purpose,
      });
    const inTime = [...world.requests].sort((a, b) => a.at - b.at);
    let now = null;
    for (const r of inTime) {
      if (r.at !== now) await moveTo(t0 + (now = r.at));
      const [permitted, basis] = await ask(r, ACTIONS[r.action], purposeIndex(r.purpose));
      const expected = r.basis === null ? [false, ZeroHash] : [true, ids[r.basis]];
      assert.deepEqual([permitted, basis], expected, JSON.stringify(r));
    }
    for (const r of world.malformed) {
      const answer = await ask(r, r.action_bits, r.purpose_index);
      assert.deepEqual([...answer], [false, ZeroHash], JSON.stringify(r));
    }
  });
}

test("the table reaches teams, dates, sharing, and what is not final", () => {
  const consents = worlds.flatMap(({ consents: list }) => list);
  for (const reached of [
    (c) => c.grantee.team && c.effect === "permit",
    (c) => c.grantee.team && c.effect === "deny",
    (c) => c.dates && c.effect === "permit",
    (c) => c.dates && c.effect === "deny",
    (c) => c.parent && c.share_depth,
    (c) => c.final === false,
    (c) => c.revocation_final === false,
  ]) {
    assert.ok(consents.some(reached), String(reached));
  }
});

test("the table reaches wards, erasure and emergencies", () => {
  const patients = worlds.flatMap(({ patients: list }) => list);
  const emergencies = worlds.flatMap(({ emergencies: list }) => list ?? []);
  for (const reached of [
    (p) => p.ward_until && !p.erased,
    (p) => p.erased && p.controller,
    (p) => p.erased && !p.controller,
  ]) {
    assert.ok(patients.some(reached), String(reached));
  }
  for (const finding of [undefined, "justified", "not_justified"]) {
    assert.ok(
      emergencies.some((e) => e.finding === finding),
      String(finding),
    );
  }
});

test("the table reaches every action, purpose, basis of its own and verdict", () => {
  const requests = worlds.flatMap(({ requests: list }) => list);
  assert.equal(new Set(requests.map((r) => r.action)).size, 4);
  assert.equal(new Set(requests.map((r) => r.purpose)).size, 12);
  for (const basis of [null, "SELF", "GUARDIAN"]) assert.ok(requests.some((r) => r.basis === basis));
});
