// A chain in this process with the contracts on it.
import hre from "hardhat";
import { BrowserProvider, Contract, ContractFactory, id } from "ethers";
import { artifact } from "./artifacts.js";

export const MOVE_DELAY = 2 * 24 * 3600;
export const EMERGENCY_DURATION = 4 * 3600;
export const EMERGENCY_QUOTA = 10;
export const RP_ID = "localhost";
export const FAR = 2 ** 40;

/**
 * Starts a chain whose first block is at start (Unix seconds) and deploys; accounts[0] is the default admin.
 * hardfork: "prague" has no precompile for P-256, "osaka" (the default) has.
 */
export async function stage(start, hardfork = "osaka") {
  const { provider } = await hre.network.create({ override: { hardfork } });
  const browser = new BrowserProvider(provider, undefined, { cacheTimeout: -1 });
  const accounts = await Promise.all([...Array(10).keys()].map((i) => browser.getSigner(i)));
  const [admin, registrar, recorder] = accounts;

  const deploy = async (name, ...args) => {
    const { abi, bytecode } = artifact(name);
    const contract = await new ContractFactory(abi, bytecode, admin).deploy(...args);
    return new Contract(await contract.getAddress(), abi, admin);
  };
  /** Mines one block at this time; what is asked afterwards is answered at this time. */
  const moveTo = async (time) => {
    await provider.request({ method: "evm_setNextBlockTimestamp", params: [time] });
    await provider.request({ method: "evm_mine", params: [] });
  };

  await provider.request({ method: "evm_setNextBlockTimestamp", params: [start] });
  const roles = await deploy("ConsentryRoles", admin.address, 3600);
  const patients = await deploy("PatientRegistry", roles.target, MOVE_DELAY);
  const teams = await deploy("CareTeams", roles.target);
  const emergencies = await deploy(
    "EmergencyAccess",
    roles.target,
    patients.target,
    EMERGENCY_DURATION,
    EMERGENCY_QUOTA,
  );
  const consents = await deploy("ConsentRegistry", roles.target, patients.target, teams.target, emergencies.target);
  const log = await deploy("AccessLog", roles.target);
  const passkeys = await deploy("PasskeyVerifier", RP_ID);
  await roles.setRole(id("REGISTRAR"), registrar.address, 0, FAR);
  await roles.setRole(id("RECORDER"), recorder.address, 0, FAR);
  const contracts = { roles, patients, teams, emergencies, consents, log, passkeys };
  return { provider, accounts, admin, registrar, recorder, ...contracts, moveTo };
}
