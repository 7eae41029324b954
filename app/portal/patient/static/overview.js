// Previews that are not there leave their placeholder; what was seen of emergencies is not told again on this device.

for (const picture of document.querySelectorAll(".picture img")) {
  const gone = () => picture.closest(".picture").classList.add("none");
  const here = () => picture.closest(".picture").classList.add("there");
  if (picture.complete && picture.naturalWidth > 0) here();
  picture.addEventListener("load", here);
  picture.addEventListener("error", gone);
}

const emergencies = document.getElementById("emergencies");
if (emergencies !== null) {
  const kept = `consentry-seen-${emergencies.dataset.record}`;
  const seen = Number(localStorage.getItem(kept) ?? 0);
  for (const one of emergencies.querySelectorAll("li[data-at]")) one.hidden = Number(one.dataset.at) <= seen;
  emergencies.hidden = [...emergencies.querySelectorAll("li[data-at]")].every((one) => one.hidden);
  const button = document.getElementById("seen");
  button.hidden = false;
  button.addEventListener("click", () => {
    localStorage.setItem(kept, emergencies.dataset.latest);
    emergencies.hidden = true;
  });
}
