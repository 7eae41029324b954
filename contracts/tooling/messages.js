// The EIP-712 messages of docs/CHAIN.md, for ethers.
function fields(text) {
  return text.split(",").map((field) => {
    const [type, name] = field.split(" ");
    return { name, type };
  });
}

export const PATIENTS = "Consentry Patients";
export const CONSENTS = "Consentry Consents";
export const TEAMS = "Consentry Teams";
export const EMERGENCIES = "Consentry Emergency";

const TERMS =
  "bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil," +
  "bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt";
/** The structs that messages hold arrays of. */
const STRUCTS = { Consents: { Grant: fields(TERMS) } };

export const MESSAGES = {
  Claim: { name: PATIENTS, fields: fields("string words,bytes32 patientKey,bytes controller,uint48 deadline") },
  MoveVeto: { name: PATIENTS, fields: fields("string words,bytes32 patientKey,uint32 moveNonce,uint48 deadline") },
  MoveAcceptance: {
    name: PATIENTS,
    fields: fields("string words,bytes32 patientKey,bytes controller,uint32 moveNonce,uint48 deadline"),
  },
  GuardianChange: {
    name: PATIENTS,
    fields: fields(
      "string words,bytes32 patientKey,bytes guardian,uint48 validUntil,uint32 guardianNonce,uint48 deadline",
    ),
  },
  Consent: {
    name: CONSENTS,
    fields: fields(`string words,${TERMS},uint48 deadline`),
  },
  Consents: { name: CONSENTS, fields: fields("string words,Grant[] grants,uint48 deadline") },
  TeamChange: {
    name: TEAMS,
    fields: fields(
      "string words,bytes32 team,address account,uint8 part,uint48 validFrom,uint48 validUntil,uint32 teamNonce,uint48 deadline",
    ),
  },
  EmergencyAccess: {
    name: EMERGENCIES,
    fields: fields(
      "string words,bytes32 patientKey,bytes32 reasonHash,uint48 validFrom,uint48 validUntil,bytes32 salt",
    ),
  },
  EmergencyReview: {
    name: EMERGENCIES,
    fields: fields("string words,bytes32 emergencyId,uint8 finding,bytes32 noteHash,uint48 deadline"),
  },
  Revocation: { name: CONSENTS, fields: fields("string words,bytes32 patientKey,bytes32 consentId,uint48 deadline") },
};

/** Domain and types of a message, as signTypedData takes them. */
export function typed(primaryType, verifyingContract, chainId = 31337) {
  const { name, fields: list } = MESSAGES[primaryType];
  return {
    domain: { name, version: "1", chainId, verifyingContract },
    types: { [primaryType]: list, ...STRUCTS[primaryType] },
  };
}
