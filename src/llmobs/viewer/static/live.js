// Keeps the table of the live page as the store is: server-sent events, or where there are none, questions.
"use strict";
(() => {
  const table = document.getElementById("live");
  const body = table.tBodies[0];
  const button = document.getElementById("live-pause");
  const says = document.getElementById("live-says");
  const { stream, news } = table.dataset;
  const most = Number(table.dataset.limit);
  const AGAIN = 5000, ASK = 1000, QUIET = 3000;
  const shown = new Map(); // id of a run: its latest state, and its row
  let source = null, timer = 0, cursor = "", paused = false, counts = [0, 0, 0], saidAt = 0, saying = 0;

  const address = (path) => path + (cursor ? (path.includes("?") ? "&" : "?") + "cursor=" + cursor : "");
  const say = (words) => { says.textContent = words; };

  // Somebody who listens to the page is told sums, now and then, and not each row.
  const count = (began, ended, cutOff) => {
    counts = [counts[0] + began, counts[1] + ended, counts[2] + cutOff];
    if (saying || !counts.some(Boolean)) return;
    saying = setTimeout(() => {
      const words = ["began", "ended", "cut off"];
      say(counts.map((n, i) => n && `${n} ${words[i]}`).filter(Boolean).join(", "));
      counts = [0, 0, 0];
      saying = 0;
      saidAt = Date.now();
    }, Math.max(0, saidAt + QUIET - Date.now()));
  };

  const before = (a, b) => a.began > b.began || (a.began === b.began && a.id > b.id);

  const put = (run) => {
    const holder = document.createElement("template");
    holder.innerHTML = run.html; // escaped by the server, as the page was
    const row = holder.content.querySelector("tr");
    const known = shown.get(run.id);
    if (known) {
      const link = known.row.contains(document.activeElement)
        && [...known.row.querySelectorAll("a")].indexOf(document.activeElement);
      known.row.remove();
      insert(run, row);
      if (typeof link === "number") row.querySelectorAll("a")[link]?.focus();
      if (known.state !== run.state) count(0, run.state === "ended" ? 1 : 0, run.state === "cut off" ? 1 : 0);
    } else {
      row.classList.add("new");
      insert(run, row);
      count(1, 0, 0);
    }
  };

  const insert = (run, row) => {
    let after = null;
    for (const each of shown.values()) {
      if (each.id !== run.id && before(run, each) && (!after || before(each, after))) after = each;
    }
    body.insertBefore(row, after && after.row);
    shown.set(run.id, { ...run, html: "", row });
  };

  // As many as the page had; what runs still stays.
  const trim = () => {
    const all = [...shown.values()].sort((a, b) => (before(a, b) ? -1 : 1));
    let running = 0;
    all.forEach((each, place) => {
      if (place < most || (each.state === "running" && ++running <= most)) return;
      each.row.remove();
      shown.delete(each.id);
    });
  };

  const apply = (update) => {
    if (update.whole) {
      const first = !shown.size;
      const ids = new Set(update.rows.map((each) => each.id));
      if (first) body.replaceChildren(); // the page's own rows, which this repeats
      for (const each of shown.values()) {
        if (!ids.has(each.id)) { each.row.remove(); shown.delete(each.id); }
      }
      update.rows.forEach(put);
      if (first) { clearTimeout(saying); saying = 0; counts = [0, 0, 0]; body.querySelectorAll(".new").forEach((row) => row.classList.remove("new")); }
    } else {
      update.rows.forEach(put);
    }
    for (const id of update.gone || []) {
      shown.get(id)?.row.remove();
      shown.delete(id);
    }
    trim();
    if (shown.size) document.getElementById("live-none")?.remove();
  };

  const ask = async (path) => {
    const answer = await fetch(address(path), { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 300) || answer.statusText);
    return answer;
  };

  const follow = () => {
    source = new EventSource(address(stream));
    source.addEventListener("runs", (event) => { cursor = event.lastEventId; apply(JSON.parse(event.data)); });
    source.addEventListener("trouble", (event) => say(event.data));
    source.addEventListener("over", (event) => { stop(); say(event.data); });
    source.onopen = () => { if (!says.textContent || says.dataset.lost) { delete says.dataset.lost; say("Live"); } };
    source.onerror = () => {
      says.dataset.lost = "yes";
      if (source && source.readyState !== EventSource.CLOSED) return; // it comes again by itself
      stop();
      // A stream does not tell why it was refused: a question does.
      fetch(address(stream), { headers: { accept: "text/plain" } }).then(async (answer) => {
        if (answer.redirected) say("You may not see this any longer: reload the page.");
        else if (!answer.ok) say((await answer.text()).slice(0, 300));
        answer.body?.cancel();
      }, () => say("The server does not answer; trying again")).finally(() => { if (!paused) timer = setTimeout(start, AGAIN); });
    };
  };

  const poll = async () => {
    let wait = ASK;
    try {
      const update = await (await ask(news)).json();
      if (paused) return;
      cursor = update.cursor;
      apply(update);
      if (!says.textContent) say("Live");
    } catch (error) {
      say(String(error.message || error));
      wait = AGAIN;
    }
    if (!paused) timer = setTimeout(poll, wait);
  };

  const stop = () => { clearTimeout(timer); if (source) source.close(); source = null; };
  const start = () => { stop(); if (stream) follow(); else poll(); };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) { stop(); say("Paused"); } else { says.textContent = ""; start(); }
  });
  // Nobody looks: nobody is to be told.
  document.addEventListener("visibilitychange", () => {
    if (paused) return;
    if (document.hidden) stop(); else start();
  });
  if (new URLSearchParams(location.search).has("pause")) button.click();
  else if (!document.hidden) start();
})();
