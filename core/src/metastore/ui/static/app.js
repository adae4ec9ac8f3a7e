// Pan and zoom of pictures, copying, refreshing. Every page works without it.
"use strict";

(() => {
  const CLOSEST = 3, FARTHEST = 0.1;

  function picture(figure) {
    const view = figure.querySelector(".view");
    const svg = view && view.querySelector("svg");
    if (!svg || figure.classList.contains("lively")) return;
    const width = Number(svg.getAttribute("width")), height = Number(svg.getAttribute("height"));
    if (!width || !height) return;
    let scale = 1;

    function zoom(wanted, x = view.clientWidth / 2, y = view.clientHeight / 2) {
      const next = Math.min(CLOSEST, Math.max(FARTHEST, wanted));
      // What is under the pointer stays there.
      const left = (view.scrollLeft + x) / scale, top = (view.scrollTop + y) / scale;
      scale = next;
      svg.setAttribute("width", String(Math.round(width * scale)));
      svg.setAttribute("height", String(Math.round(height * scale)));
      view.scrollLeft = left * scale - x;
      view.scrollTop = top * scale - y;
    }

    const room = () => view.clientWidth - 16;
    const fit = () => zoom(Math.min(1, room() / width, (view.clientHeight - 16) / height));

    function start() {
      // The whole width where its texts can still be read.
      const whole = room() / width;
      zoom(whole > 1 ? 1 : whole >= 0.72 ? whole : 0.85);
      const first = svg.querySelector(".start");
      if (!first) return;
      const box = first.getBoundingClientRect(), around = view.getBoundingClientRect();
      view.scrollLeft += box.left + box.width / 2 - around.left - view.clientWidth / 2;
      view.scrollTop += box.top + box.height / 2 - around.top - view.clientHeight / 2;
    }

    const tools = document.createElement("div");
    tools.className = "tools";
    for (const [text, label, act] of [
      ["−", "Zoom out", () => zoom(scale / 1.25)],
      ["+", "Zoom in", () => zoom(scale * 1.25)],
      ["Fit", "Show the whole picture", fit],
      ["1:1", "Show it at its own size", () => zoom(1)],
    ]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.setAttribute("aria-label", label);
      button.title = label;
      button.addEventListener("click", act);
      tools.append(button);
    }
    figure.querySelector("figcaption").firstElementChild.after(tools);
    figure.classList.add("lively");

    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const around = view.getBoundingClientRect();
      zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - around.left, event.clientY - around.top);
    }, { passive: false });

    view.addEventListener("keydown", (event) => {
      const act = { "+": () => zoom(scale * 1.25), "-": () => zoom(scale / 1.25), "0": fit, "1": () => zoom(1) }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });

    let held = null, moved = false;
    view.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      held = { x: event.clientX, y: event.clientY, left: view.scrollLeft, top: view.scrollTop };
      moved = false;
    });
    view.addEventListener("pointermove", (event) => {
      if (!held) return;
      const x = event.clientX - held.x, y = event.clientY - held.y;
      if (!moved && Math.hypot(x, y) < 4) return;
      if (!moved) view.setPointerCapture(event.pointerId);
      moved = true;
      view.classList.add("held");
      view.scrollLeft = held.left - x;
      view.scrollTop = held.top - y;
    });
    for (const end of ["pointerup", "pointercancel"]) {
      view.addEventListener(end, () => { held = null; view.classList.remove("held"); });
    }
    // To let go of the picture above a box does not open it.
    view.addEventListener("click", (event) => { if (moved) { event.preventDefault(); moved = false; } }, true);
    svg.addEventListener("dragstart", (event) => event.preventDefault());
    start();
  }

  function copier(button) {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      // What is written out to be seen is copied as it is seen.
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  function tidy(form) {
    // The address says only what was asked for.
    form.addEventListener("submit", () => {
      const key = form.elements.key;
      for (const each of form.elements) {
        const idle = (each.name === "op" || each.name === "value") && key && !key.value;
        if (each.name && (!each.value || idle || (each.name === "op" && each.value === "eq") || (each.name === "sort" && each.value === "newest"))) each.disabled = true;
      }
      setTimeout(() => { for (const each of form.elements) each.disabled = false; }, 0);
    });
  }

  let timer = 0;
  function refreshing(root) {
    clearTimeout(timer);
    const live = root.querySelector("[data-refresh]");
    const seconds = live && Number(live.dataset.refresh);
    if (seconds) timer = setTimeout(anew, seconds * 1000);
  }

  async function anew() {
    const main = document.querySelector("main");
    if (document.hidden || main.contains(document.activeElement) && document.activeElement.matches("input, select")) {
      refreshing(main);
      return;
    }
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const places = [...main.querySelectorAll(".view")].map((view) => [view.scrollLeft, view.scrollTop]);
      main.replaceChildren(...document.adoptNode(page.querySelector("main")).childNodes);
      document.title = page.title;
      alive(main);
      main.querySelectorAll(".view").forEach((view, at) => {
        if (places[at]) [view.scrollLeft, view.scrollTop] = places[at];
      });
    } catch {
      // The server is gone for a while; what is shown stays.
      refreshing(main);
    }
  }

  function alive(root) {
    root.querySelectorAll("[data-canvas]").forEach(picture);
    root.querySelectorAll("[data-copy]").forEach(copier);
    root.querySelectorAll("form[data-tidy]").forEach(tidy);
    refreshing(root);
  }

  addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form :disabled").forEach((each) => { each.disabled = false; });
  });
  alive(document);
})();
