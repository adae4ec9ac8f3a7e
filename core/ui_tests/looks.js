// What is wrong with how a page looks and reads, as lines of text; of a page that is shown.
() => {
  const faults = [];

  // Contrast, WCAG 2.2 AA: of all texts, those of pictures too, as they are blended.
  const parsed = (colour) => {
    const [r, g, b, a] = colour.match(/[\d.]+/g).map(Number);
    // A mixed one is color(srgb 0.1 0.2 0.3), of parts from 0 to 1.
    const whole = colour.startsWith("color(") ? 255 : 1;
    return { rgb: [r * whole, g * whole, b * whole], alpha: a ?? 1 };
  };
  const over = (front, back, alpha) => front.map((each, at) => each * alpha + back[at] * (1 - alpha));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const found = parsed(getComputedStyle(each).backgroundColor);
      if (found.alpha) layers.push(found);
      if (found.alpha === 1) break;
    }
    const ground = parsed(getComputedStyle(document.body).backgroundColor).rgb;
    return layers.reduceRight((back, each) => over(each.rgb, back, each.alpha), ground);
  };
  const opacity = (element) => {
    let found = 1;
    for (let each = element; each; each = each.parentElement) found *= Number(getComputedStyle(each).opacity);
    return found;
  };
  const compare = (text, element, front, back, seen) => {
    const blended = light(over(front.rgb, back, front.alpha * seen)), ground = light(back);
    const contrast = (Math.max(blended, ground) + 0.05) / (Math.min(blended, ground) + 0.05);
    if (contrast < 4.5) faults.push(`faint ${element.tagName.toLowerCase()}.${element.className.baseVal ?? element.className} "${text.slice(0, 30)}": ${contrast.toFixed(2)}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("option, .vh, svg title, defs, script")) continue;
    const style = getComputedStyle(element);
    if (element.closest("svg")) {
      // A box lies below the texts of its group; what is not on the way is dimmed on purpose.
      if (element.closest(".dim")) continue;
      const box = element.parentElement.querySelector(":scope > .box");
      const back = box && element.parentElement.tagName === "g" ? parsed(getComputedStyle(box).fill).rgb : behind(element.closest("svg"));
      compare(text, element, parsed(style.fill), back, opacity(element));
    } else {
      compare(text, element, parsed(style.color), behind(element), opacity(element));
    }
  }
  for (const each of document.querySelectorAll("input[placeholder]")) {
    const style = getComputedStyle(each, "::placeholder");
    compare(each.placeholder, each, parsed(style.color), behind(each), Number(style.opacity));
  }

  // Nothing sticks out, and no text lies on another one.
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`too wide by ${root.scrollWidth - root.clientWidth}`);
  for (const each of document.querySelectorAll("h1, h2, dd, dt, .note, label, button, .top a, .pager a, .go a")) {
    // What is scrolled by itself may be wider than what is around it.
    if (!each.checkVisibility() || each.closest(".vh, .view, .top nav, .scroll")) continue;
    const box = each.getBoundingClientRect();
    if (box.right > root.clientWidth + 1 || box.left < -1) faults.push(`cut off: ${each.tagName} "${each.textContent.trim().slice(0, 30)}"`);
  }
  const cells = [...document.querySelectorAll("td, th")].filter((each) => each.checkVisibility() && !each.closest(".vh"));
  for (const each of cells.slice(0, 400)) {
    if (each.scrollWidth > each.clientWidth + 1 && !each.querySelector("svg")) faults.push(`a cell that overflows: "${each.textContent.trim().slice(0, 30)}"`);
  }

  // Headings in order, one of the first order.
  let last = 0;
  for (const each of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const level = Number(each.tagName[1]);
    if (level > last + 1) faults.push(`h${level} after h${last}: "${each.textContent.trim().slice(0, 30)}"`);
    last = level;
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");

  // What can be used has a name.
  for (const each of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")) {
    const labels = [...(each.labels ?? [])].map((label) => label.textContent).join("");
    const title = each.querySelector(":scope > title")?.textContent ?? "";
    const name = (each.getAttribute("aria-label") ?? "") + labels + (each.matches("input, select") ? "" : each.textContent) + title;
    if (!name.trim()) faults.push(`without a name: ${each.outerHTML.slice(0, 80)}`);
  }

  // Of a text of the store that became a script.
  if (window.__pwned !== undefined) faults.push("a script of the store ran");
  return faults;
}
