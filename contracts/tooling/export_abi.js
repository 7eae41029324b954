// Writes app/chain/abi/<Name>.json from what Hardhat built; with --check compares instead and fails on a difference.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { CONTRACTS, ROOT, artifact, settingsHash } from "./artifacts.js";

const folder = path.join(ROOT, "app", "chain", "abi");
const check = process.argv.includes("--check");
const stale = [];

mkdirSync(folder, { recursive: true });
for (const name of CONTRACTS) {
  const { contractName, abi, bytecode, buildInfoId } = artifact(name);
  const exported = { contractName, abi, bytecode, solcSettingsSha256: settingsHash(buildInfoId) };
  const text = `${JSON.stringify(exported, null, 1)}\n`;
  const file = path.join(folder, `${name}.json`);
  if (!check) writeFileSync(file, text);
  else if (!existsSync(file) || readFileSync(file, "utf8") !== text) stale.push(name);
}

if (stale.length > 0) {
  console.error(`stale in app/chain/abi: ${stale.join(", ")}; run: npm run build`);
  process.exit(1);
}
console.log(check ? "app/chain/abi is fresh" : `wrote ${CONTRACTS.length} files to app/chain/abi`);
