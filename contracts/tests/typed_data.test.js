// tests/vectors/typed_data.json is what the contracts accept today.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { FILE, produce } from "../tooling/typed_data_vectors.js";

test("the committed vectors are what the contracts accept", async () => {
  const committed = JSON.parse(readFileSync(FILE, "utf8"));
  assert.deepEqual(committed, JSON.parse(JSON.stringify(await produce())));
});

test("every message type has a vector", () => {
  const committed = JSON.parse(readFileSync(FILE, "utf8"));
  const types = new Set(committed.messages.map((m) => m.primaryType));
  assert.deepEqual([...types].sort(), [
    "Claim",
    "Consent",
    "Consents",
    "EmergencyAccess",
    "EmergencyReview",
    "GuardianChange",
    "MoveAcceptance",
    "MoveVeto",
    "Revocation",
    "TeamChange",
  ]);
});
