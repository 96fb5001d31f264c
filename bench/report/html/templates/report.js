"use strict";
// What the page can do beside being read: sort, filter, choose columns, and leaf through images. No library, no network.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const MISSING = "–";

  /** An element; children are nodes or text, which is never read as HTML. */
  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function choice(label, options, change) {
    const select = make("select", { onchange: () => change(Number(select.value)) });
    options.forEach((text, value) => select.append(make("option", { value }, text)));
    return [make("label", {}, label, select), select];
  }

  /** The number that a cell begins with; NaN where it begins with none. */
  function leading(text) {
    const found = text.replace(/,/g, "").replace("−", "-").match(/^[<>≤≥~]?\s*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)/i);
    return found ? parseFloat(found[1]) : NaN;
  }

  /** Indices of texts in order: by number where most are numbers; what is missing comes last either way. */
  function ordered(texts, rising) {
    const numbers = texts.map(leading);
    const known = texts.filter((text) => text !== MISSING && text !== "").length;
    const numeric = numbers.filter((value) => !Number.isNaN(value)).length * 2 > known;
    const missing = (i) => (numeric ? Number.isNaN(numbers[i]) : texts[i] === MISSING || texts[i] === "");
    const sign = rising ? 1 : -1;
    const collator = new Intl.Collator("en", { numeric: true });
    return texts.map((_, i) => i).sort((a, b) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b) || a - b;
      return sign * (numeric ? numbers[a] - numbers[b] : collator.compare(texts[a], texts[b])) || a - b;
    });
  }

  function mark(heads, chosen) {
    const rising = chosen.getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.setAttribute("aria-sort", "none"));
    chosen.setAttribute("aria-sort", rising ? "ascending" : "descending");
    return rising;
  }

  // ---------------------------------------------------------------- tables

  /** Rows with the seeds that stand below them, which go wherever their mean goes. */
  function families(rows) {
    const groups = [];
    for (const row of rows) {
      if (row.classList.contains("seed") && groups.length) groups[groups.length - 1].push(row);
      else groups.push([row]);
    }
    return groups;
  }

  const SHOWN = 200;

  /** Rows beyond the first ones are laid out when they are asked for, and in print: a thousand take a quarter second. */
  function shorten(table) {
    let left = "whole" in table.dataset ? Infinity : SHOWN;
    for (const row of table.tBodies[0].rows) {
      row.classList.toggle("later", left <= 0);
      if (!row.hidden) left -= 1;
    }
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.setAttribute("aria-sort", "none");
      const sort = () => {
        const rising = mark(heads, head);
        const body = table.tBodies[0];
        const groups = families([...body.rows]);
        const texts = (rows) => rows.map((row) => row.cells[column].textContent.trim());
        const order = ordered(texts(groups.map((group) => group[0])), rising);
        const sorted = order.flatMap((i) => {
          const [first, ...seeds] = groups[i];
          return [first, ...ordered(texts(seeds), rising).map((k) => seeds[k])];
        });
        body.replaceChildren(...sorted);
        shorten(table);
      };
      head.replaceChildren(make("button", { type: "button", onclick: sort }, ...head.childNodes));
    });
    shorten(table);
    const rows = table.tBodies[0].rows.length;
    if (rows <= SHOWN) return;
    const more = make("button", { type: "button", class: "plain", onclick: () => {
      table.dataset.whole = "";
      shorten(table);
      more.remove();
    } }, `Show all ${rows} rows`);
    (table.closest(".scroll") || table).after(more);
  }

  function tools(table) {
    const rows = [...table.tBodies[0].rows];
    const count = make("output", { "aria-live": "polite" });
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      shorten(table);
      count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    };
    const search = make("input", { type: "search", oninput: filter });
    const boxes = [...table.tHead.rows[0].cells].slice(1).map((head, i) => {
      const show = () => {
        for (const row of [table.tHead.rows[0], ...rows]) row.cells[i + 1].hidden = !box.checked;
      };
      const box = make("input", { type: "checkbox", checked: true, onchange: show });
      return make("label", {}, box, head.textContent);
    });
    const chooser = make(
      "details", {}, make("summary", {}, "Columns"), make("fieldset", {}, make("legend", {}, "Shown columns"), ...boxes)
    );
    const bar = make("div", { class: "tools" }, make("label", {}, "Filter rows", search), chooser, count);
    table.closest(".scroll").before(bar);
  }

  // ---------------------------------------------------------------- confusion matrix

  const WAYS = ["share of the true class (rows)", "share of the predicted class (columns)", "pixels"];

  function confusion() {
    const place = document.getElementById("confusion-matrix");
    if (!place || !data.confusions.length) return;
    let model = 0;
    let way = 0;
    const draw = () => place.replaceChildren(matrix(data.confusions[model], way));
    const [models] = choice("Row ", data.confusions.map((one) => one.name), (value) => { model = value; draw(); });
    const [ways] = choice("Cells ", WAYS, (value) => { way = value; draw(); });
    document.getElementById("confusion-tools").append(models, ways, "Enter or click on a cell: its images");
    draw();
  }

  function matrix(one, way) {
    const sums = way === 1
      ? one.columns.map((_, c) => one.counts.reduce((sum, row) => sum + row[c], 0))
      : one.counts.map((row) => row.reduce((sum, value) => sum + value, 0));
    const largest = Math.max(1, ...one.counts.flatMap((row, r) => row.filter((_, c) => r !== c)));
    const body = make("tbody", { role: "rowgroup" });
    one.counts.forEach((row, r) => {
      const line = make("tr", { role: "row" }, make("th", { scope: "row", role: "rowheader" }, one.rows[r]));
      row.forEach((pixels, c) => line.append(cell(one, way, r, c, pixels, sums[way === 1 ? c : r], largest)));
      body.append(line);
    });
    const heads = ["true \\ predicted", ...one.columns];
    const head = make(
      "thead", { role: "rowgroup" },
      make("tr", { role: "row" }, ...heads.map((name) => make("th", { scope: "col", role: "columnheader" }, name)))
    );
    const caption = make("caption", {}, `${one.name}: ${WAYS[way]}`);
    const table = make("table", { class: "matrix", role: "grid", onkeydown: walk }, caption, head, body);
    const first = table.querySelector("td");
    if (first) first.tabIndex = 0;
    return table;
  }

  function cell(one, way, r, c, pixels, sum, largest) {
    const share = way === 2 ? Math.min(1, pixels / largest) : pixels / Math.max(1, sum);
    const images = one.cells[`${r},${c}`];
    const open = () => show(one, r, c, images || []);
    const text = way === 2 ? pixels.toLocaleString("en") : (100 * share).toFixed(1);
    const made = make("td", {
      role: "gridcell", tabindex: "-1", class: (r === c ? "right" : "wrong") + (images ? " has" : ""), onclick: open,
      title: `${one.rows[r]} predicted as ${one.columns[c]}: ${pixels.toLocaleString("en")} pixels`,
    }, text);
    made.style.setProperty("--v", share.toFixed(3));
    return made;
  }

  /** Arrow keys move in the grid, Enter opens a cell. */
  function walk(event) {
    const here = event.target.closest("td");
    if (!here) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); here.click(); return; }
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const rows = here.closest("tbody").rows;
    const row = rows[here.parentElement.sectionRowIndex + step[0]];
    const next = row && row.cells[here.cellIndex + step[1]];
    if (!next || next.tagName !== "TD") return;
    here.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  function show(one, r, c, images) {
    const place = document.getElementById("confusion-images");
    const said = `${one.rows[r]} predicted as ${one.columns[c]} by ${one.name}`;
    const links = images.map((i) => make("li", {}, linked(one.ids[i], one.examples[i] ?? -1)));
    place.replaceChildren(
      make("p", {}, images.length ? `Images with the most pixels of ${said}:` : `No image feeds ${said}.`),
      make("ol", {}, ...links)
    );
  }

  function linked(id, example) {
    return example >= 0 ? make("a", { href: `#example-${example}` }, id) : id;
  }

  // ---------------------------------------------------------------- images

  const PAGE = 100;

  function perImage(place) {
    const group = data.images[Number(place.dataset.group)];
    if (!group) return;
    allImages(place.querySelector(".all-images"), group);
    if (group.models.length > 1) beats(place.querySelector(".beats"), group);
  }

  function allImages(place, group) {
    let quantity = 0;
    let shown = PAGE;
    let words = [];
    let order = group.ids.map((_, i) => i);
    const body = make("tbody");
    const names = ["image", ...group.models, ...(group.models.length > 1 ? ["range"] : [])];
    const heads = names.map((name, column) => {
      const head = make("th", { scope: "col", "aria-sort": "none" });
      const sort = () => {
        const rising = mark(heads, head);
        order = ordered(group.ids.map((_, i) => text(i, column)), rising);
        fill();
      };
      head.append(make("button", { type: "button", onclick: sort }, name));
      return head;
    });

    const value = (i, model) => group.quantities[quantity].values[model]?.[i] ?? null;
    const digits = () => (group.quantities[quantity].label.endsWith("ms") ? 2 : 3);
    const written = (number) => (number === null ? MISSING : number.toFixed(digits()));
    function text(i, column) {
      if (column === 0) return group.ids[i];
      if (column <= group.models.length) return written(value(i, column - 1));
      const known = group.models.map((_, model) => value(i, model)).filter((number) => number !== null);
      return known.length > 1 ? written(Math.max(...known) - Math.min(...known)) : MISSING;
    }

    function fill() {
      const kept = order.filter((i) => words.every((word) => group.ids[i].toLowerCase().includes(word)));
      body.replaceChildren(...kept.slice(0, shown).map((i) => make(
        "tr", {},
        make("th", { scope: "row" }, linked(group.ids[i], group.examples[i])),
        ...names.slice(1).map((_, column) => make("td", {}, text(i, column + 1)))
      )));
      more.hidden = kept.length <= shown;
      count.textContent = `${Math.min(shown, kept.length)} of ${kept.length} images`
        + (group.total > group.ids.length ? `, of ${group.total} those with the lowest values` : "");
    }

    const [quantities] = choice("Show ", group.quantities.map((one) => one.label), (chosen) => { quantity = chosen; fill(); });
    const search = make("input", { type: "search", oninput: () => {
      words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      fill();
    } });
    const count = make("output", { "aria-live": "polite" });
    const more = make("button", { type: "button", class: "plain", onclick: () => { shown += 10 * PAGE; fill(); } }, "Show more");
    const table = make(
      "table", { class: "images" }, make("caption", {}, "Every image under every model"),
      make("thead", {}, make("tr", {}, ...heads)), body
    );
    place.append(
      make("div", { class: "tools" }, quantities, make("label", {}, "Filter images", search), count),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Every image under every model" }, table),
      more
    );
    fill();
  }

  function beats(place, group) {
    const quantity = group.quantities[0];
    const sign = quantity.higher ? 1 : -1;
    let a = 0;
    let b = 1;
    const list = make("ol");
    const draw = () => {
      const ahead = group.ids
        .map((_, i) => [i, quantity.values[a][i], quantity.values[b][i]])
        .filter(([, left, right]) => left !== null && right !== null && sign * (left - right) > 0)
        .sort((left, right) => sign * (right[1] - right[2] - left[1] + left[2]))
        .slice(0, 8);
      const lines = ahead.map(([i, left, right]) => make(
        "li", {}, linked(group.ids[i], group.examples[i]), `: ${left.toFixed(3)} against ${right.toFixed(3)}`
      ));
      list.replaceChildren(...(lines.length ? lines : [make("li", {}, "on no image")]));
    };
    const [first] = choice("", group.models, (value) => { a = value; draw(); });
    const [second, other] = choice(" beats ", group.models, (value) => { b = value; draw(); });
    first.querySelector("select").setAttribute("aria-label", "The model that is better");
    other.value = "1";
    place.append(make("h4", {}, `Where one model beats another, by ${quantity.label}`), make("div", { class: "tools" }, first, second), list);
    draw();
  }

  function examples() {
    const bar = document.getElementById("example-tools");
    if (!bar) return;
    const found = all(".example:not(.further)");
    const shows = ["prediction", "errors", "both"];
    const [layers] = choice("Show ", ["predictions", "errors", "both, one below the other"], (value) => {
      document.getElementById("images").dataset.show = shows[value];
    });
    const reasons = [...new Set(found.flatMap((one) => one.dataset.why.split("\u001f")))];
    const [why] = choice("Images ", ["all", ...reasons], (value) => {
      for (const one of found) one.hidden = value > 0 && !one.dataset.why.split("\u001f").includes(reasons[value - 1]);
    });
    const models = [...new Set(all(".tile.model").map((tile) => tile.dataset.model))];
    const boxes = models.map((name) => {
      const toggle = () => all(".tile.model").forEach((tile) => {
        if (tile.dataset.model === name) tile.hidden = !box.checked;
      });
      const box = make("input", { type: "checkbox", checked: true, onchange: toggle });
      return make("label", {}, box, name);
    });
    const chooser = make(
      "details", {}, make("summary", {}, "Models"), make("fieldset", {}, make("legend", {}, "Shown models"), ...boxes)
    );
    bar.append(layers, why, ...(models.length > 1 ? [chooser] : []), "Enter or click on a tile: ground truth in its place");
    document.getElementById("images").dataset.show = "prediction";
    all(".tile.model").forEach(flip);
  }

  /** A tile shows the ground truth while it is pressed in, so that both are seen at the same place. */
  function flip(tile) {
    const pictures = all("img", tile);
    if (!pictures.length) return;
    const groundTruth = tile.closest(".tiles").querySelectorAll(".tile img")[1];
    const before = pictures.map((picture) => [picture.src, picture.alt]);
    const button = make("button", { type: "button", "aria-pressed": "false", onclick: () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(pressed));
      pictures.forEach((picture, i) => {
        [picture.src, picture.alt] = pressed ? [groundTruth.src, groundTruth.alt] : before[i];
      });
    } });
    pictures[0].before(button);
    button.append(...pictures);
  }

  // ---------------------------------------------------------------- the page

  function theme() {
    const modes = ["auto", "light", "dark"];
    let mode = 0;
    const button = make("button", { type: "button", class: "plain", onclick: () => {
      mode = (mode + 1) % modes.length;
      document.documentElement.dataset.theme = modes[mode];
      button.textContent = `Colours: ${modes[mode]}`;
    } }, "Colours: auto");
    document.querySelector("footer").append(button);
  }

  // An image that a link leads to may be hidden by the choice of images, or folded away.
  function reveal() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details:not([open])");
    if (!target || (!target.hidden && !fold)) return;
    target.hidden = false;
    if (fold) fold.open = true;
    target.scrollIntoView();
  }

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
  addEventListener("hashchange", reveal);

  all("table.sortable").forEach(sortable);
  all("table[data-tools]").forEach(tools);
  confusion();
  all(".per-image").forEach(perImage);
  examples();
  theme();
})();
