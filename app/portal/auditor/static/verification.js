// Begins a verification and says how far it is; one that another window began is followed as well.

import { get, post } from "../api.js";
import { notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { _, count } from "../words.js";

const form = document.getElementById("begin");
const bar = document.getElementById("bar");
const far = document.getElementById("far");
const LOOK_MS = 700;

function show(run) {
  document.getElementById("going").hidden = false;
  form.querySelector("button").disabled = true;
  bar.max = Math.max(run.of_blocks, 1);
  bar.value = run.block;
  const records = count("{number} record so far", "{number} records so far", run.records);
  far.textContent = run.of_blocks > 0 ? _("Block {block} of {last}, {records}", { block: run.block, last: run.of_blocks, records }) : _("It begins …");
}

async function follow(run) {
  let now = run;
  while (now.status === "running") {
    show(now);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    // A gateway that is away for a moment has not ended the run
    now = await get(`/api/verifications/${run.id}`).catch((error) => {
      if (error.problem === "unauthenticated" || error.problem === "forbidden") throw error;
      return now;
    });
  }
  location.reload();
}

function failed(error) {
  form.querySelector("button").disabled = false;
  notice("bad", inWords(error));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  form.querySelector("button").disabled = true;
  post("/api/verifications", { records: form.elements.records.checked }).then(follow).catch(failed);
});

const going = document.querySelector('.run[data-status="running"]');
if (going !== null) get(`/api/verifications/${going.dataset.run}`).then(follow).catch(failed);
