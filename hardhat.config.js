import { createRequire } from "node:module";
import { defineConfig } from "hardhat/config";

const require = createRequire(import.meta.url);

// The npm package's compiler, so that nothing is downloaded while building.
const compiler = {
  version: require("solc/package.json").version,
  path: require.resolve("solc/soljson.js"),
  settings: {
    optimizer: { enabled: true, runs: 10_000 },
    evmVersion: "cancun",
    // Without the metadata hash the bytecode depends on the code alone, not on comments or paths.
    metadata: { bytecodeHash: "none", appendCBOR: false },
  },
};

export default defineConfig({
  solidity: { profiles: { default: compiler, production: compiler } },
  paths: {
    sources: "contracts/src",
    tests: { solidity: "contracts/tests" },
  },
  test: {
    solidity: {
      fuzz: { runs: 256, seed: "0x636f6e73656e747279" },
      invariant: { runs: 24, depth: 128, failOnRevert: true },
    },
  },
});
