// The packed form of a batch of access records, as docs/CHAIN.md writes it.
import { concat, solidityPacked } from "ethers";

/** groups: [{basis, accessor, patientKey, decisionBlock, decisionBlockHash, commitments}] → bytes as hex */
export function packBatch(groups) {
  return concat(
    groups.map((g) =>
      concat([
        solidityPacked(
          ["bytes32", "address", "bytes32", "uint64", "bytes32", "uint16"],
          [g.basis, g.accessor, g.patientKey, g.decisionBlock, g.decisionBlockHash, g.commitments.length],
        ),
        ...g.commitments,
      ]),
    ),
  );
}
