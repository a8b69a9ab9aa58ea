"use strict";
// Shows data-tip of whatever is under the pointer, or touched.
(() => {
  const tip = document.getElementById("tip");
  const place = (event) => {
    const owner = event.target.closest && event.target.closest("[data-tip]");
    tip.hidden = !owner;
    if (!owner) return;
    tip.textContent = owner.dataset.tip;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(8, Math.min(event.clientX + 12, room)) + "px";
    const above = event.clientY - tip.offsetHeight - 12;
    tip.style.top = (above > 8 ? above : event.clientY + 18) + "px";
  };
  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, place);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
