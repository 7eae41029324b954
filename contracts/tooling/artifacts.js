// Reading what Hardhat built.
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import path from "node:path";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** In the order in which they are deployed. */
export const CONTRACTS = [
  "ConsentryRoles",
  "PatientRegistry",
  "CareTeams",
  "EmergencyAccess",
  "ConsentRegistry",
  "AccessLog",
  "PasskeyVerifier",
];

/** The artifact of one of our contracts, as Hardhat wrote it. */
export function artifact(name, source = `contracts/src/${name}.sol`) {
  return JSON.parse(readFileSync(path.join(ROOT, "artifacts", source, `${name}.json`), "utf8"));
}

/** SHA-256 over the compiler's version and settings: equal hashes and sources mean equal bytecode. */
export function settingsHash(buildInfoId) {
  const file = path.join(ROOT, "artifacts", "build-info", `${buildInfoId}.json`);
  const { solcLongVersion, input } = JSON.parse(readFileSync(file, "utf8"));
  const { optimizer, evmVersion, metadata, viaIR = false } = input.settings;
  const text = JSON.stringify([solcLongVersion, optimizer, evmVersion, metadata, viaIR]);
  return createHash("sha256").update(text).digest("hex");
}
