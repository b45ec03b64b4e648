"use strict";
// All that moves on the page: the language, the order of the table, the variant
// that an address names, and what the controls compute. Without it everything can
// still be read.
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];

  // The style hides the language that is not checked.
  function chooseLanguage() {
    const remembered = () => {
      try {
        return localStorage.getItem("language");
      } catch {
        return null; // some browsers keep nothing for files
      }
    };
    const remember = (language) => {
      try {
        localStorage.setItem("language", language);
      } catch {
        // then it is chosen anew each time
      }
    };
    const say = (language) => {
      document.documentElement.lang = language;
      document.title = document.querySelector(`h1 .${language}`).textContent;
    };
    const wanted = remembered() ?? navigator.language.slice(0, 2);
    for (const input of all("input[name=language]")) {
      input.checked ||= input.value === wanted;
      if (input.checked) {
        say(input.value);
      }
      input.addEventListener("change", () => {
        say(input.value);
        remember(input.value);
      });
    }
  }

  // A button in each head; suites are sorted each by itself.
  function makeSortable(table) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head, column));
    });
  }

  function sort(table, head, column) {
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    all("thead th", table).forEach((it) => it.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => Number(row.cells[column].dataset.value ?? Number.NaN);
    const compare = (a, b) => {
      if (column === 0) {
        return sign * a.dataset.row.localeCompare(b.dataset.row, "en");
      }
      const [x, y] = [value(a), value(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) {
        return Number.isNaN(x) - Number.isNaN(y); // what was not measured comes last
      }
      return sign * (x - y);
    };
    for (const body of table.tBodies) {
      body.append(...all("tr[data-row]", body).sort(compare));
    }
  }

  function openVariant() {
    let name = "";
    try {
      name = decodeURIComponent(location.hash.slice(1));
    } catch {
      return; // as #100%, which names nothing
    }
    const details = document.getElementById(name);
    if (details instanceof HTMLDetailsElement) {
      details.open = true;
      details.scrollIntoView();
      details.querySelector("summary").focus({ preventScroll: true });
    }
  }

  function followVariants() {
    addEventListener("hashchange", openVariant);
    for (const link of all("a[href^='#']")) {
      // The address does not change where it is the same variant again.
      link.addEventListener("click", () => setTimeout(openVariant));
    }
    // Once the browser has gone there itself, which takes the focus away.
    addEventListener("load", () => setTimeout(openVariant));
  }

  // Numbers as `xtask/src/human.rs` writes them.
  const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
  const hundredths = (number) => `${Math.floor(number / 100)}.${String(number % 100).padStart(2, "0")}`;
  function time(us) {
    if (us < 10_000) {
      return `${hundredths(Math.floor((us + 5) / 10))} ms`;
    }
    if (us < 1_000_000) {
      return `${Math.floor((us + 500) / 1_000)} ms`;
    }
    return `${hundredths(Math.floor((us + 5_000) / 10_000))} s`;
  }
  function bytes(number) {
    if (number < 1_000n) {
      return `${number} B`;
    }
    if (number < 100_000n) {
      return `${number / 1_000n}.${(number / 100n) % 10n} kB`;
    }
    const tenths = (number + 50_000n) / 100_000n;
    return `${grouped(tenths / 10n)}.${tenths % 10n} MB`;
  }
  function dollars(microusd) {
    const mills = (microusd + 500n) / 1_000n;
    if (mills === 0n && microusd > 0n) {
      return "$<0.001";
    }
    return `$${grouped(mills / 1_000n)}.${String(mills % 1_000n).padStart(3, "0")}`;
  }
  const speed = (mbit) => (mbit < 1_000 ? `${mbit} Mbit/s` : `${mbit / 1_000} Gbit/s`);

  // The model of `xtask/src/publish/charts/link.rs`, in microseconds.
  function nodeTotal(it, mbit) {
    const overTheLink = (it.transfer_bytes * 8) / mbit;
    return Math.round(it.node_total_us - it.download_us + Math.max(it.download_us, overTheLink));
  }

  // The model of `xtask/src/cost/model.rs`, in whole numbers of any size.
  function month(it, use, way) {
    const [kept, renewed] = [BigInt(it.kept_bytes), BigInt(it.renewed_bytes)];
    const stored = kept + use.versions * renewed;
    const transferred = use.nodes * stored + use.pulls * (kept + renewed);
    const gb = BigInt(way.gb_bytes);
    const money = (number, microusd) => {
      const product = number * BigInt(microusd);
      return product / gb + ((product % gb) * 2n >= gb ? 1n : 0n);
    };
    const cost =
      money(stored, way.storage_microusd_per_gb_month) + money(transferred, way.microusd_per_gb);
    return { transferred, cost };
  }

  function startControls(model) {
    const form = document.getElementById("controls");
    const control = (name) => document.getElementById(name);
    const output = form.querySelector("output");
    const variants = new Map(model.variants.map((it) => [it.name, it]));

    // A field that says no number counts as it last did, and says so.
    const use = {};
    const usage = () => {
      for (const name of ["nodes", "pulls", "versions"]) {
        const field = control(name);
        const isNumber = field.value !== "" && field.validity.valid;
        use[name] ??= BigInt(model[name]);
        if (isNumber) {
          use[name] = BigInt(field.valueAsNumber);
        }
        field.setAttribute("aria-invalid", String(!isNumber));
        control(`${name}-wrong`).hidden = isNumber;
      }
      return use;
    };

    // Bars are as long as their number's share of the suite's largest.
    const show = (rows, column, numbers, text) => {
      const largest = Math.max(...numbers.map(Number));
      rows.forEach((row, index) => {
        const [cell, number] = [row.cells[column], numbers[index]];
        cell.textContent = text(number);
        cell.style.setProperty("--share", largest > 0 ? Number(number) / largest : 0);
      });
    };

    const update = () => {
      const mbit = model.speeds_mbit[control("speed").value];
      const way = model.ways[control("way").value];
      output.textContent = speed(mbit);
      control("speed").setAttribute("aria-valuetext", speed(mbit));
      const current = usage();
      for (const body of all(".what-if tbody")) {
        const rows = all("tr[data-what-if]", body);
        const of = (row) => variants.get(row.dataset.whatIf);
        const timed = rows.filter((row) => of(row).node_total_us !== null && of(row).transfer_bytes !== null);
        show(timed, 1, timed.map((row) => nodeTotal(of(row), mbit)), time);
        const priced = rows.filter((row) => way && of(row).kept_bytes !== null);
        const months = priced.map((row) => month(of(row), current, way));
        show(priced, 2, months.map((it) => it.cost), dollars);
        show(priced, 3, months.map((it) => it.transferred), bytes);
      }
    };

    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    all(".without-script").forEach((it) => (it.hidden = true));
    update();
  }

  chooseLanguage();
  all("table[data-sortable]").forEach(makeSortable);
  followVariants();
  const model = document.getElementById("model");
  if (model !== null) {
    startControls(JSON.parse(model.textContent));
  }
})();
