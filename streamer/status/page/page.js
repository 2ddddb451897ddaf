// The operator's page. Everything comes from /events; a signal's details from /api/signals and /api/signal.
// Texts of the plant (tags, names, units) are hostile input: they enter the page as text nodes only, see `make`.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const RECONNECT_MS = 5000;
const STALE_MS = 5000;
const REFRESH_SIGNAL_MS = 3000;

const $ = (id) => document.getElementById(id);
const shown = new Map(); // what each part was last made from, so that nothing is made anew without need

/** An element with attributes and children; a child that is no node becomes text. */
function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  for (const child of children.flat()) {
    element.append(child instanceof Node ? child : document.createTextNode(child ?? ""));
  }
  return element;
}

/** Fill a part of the page, unless it would look as it does. */
function show(id, data, render) {
  const key = JSON.stringify(data);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  $(id).replaceChildren(...[render(data)].flat());
}

function count(number) { return Math.round(number).toLocaleString("en"); }

function many(number, one, more) { return `${count(number)} ${number === 1 ? one : more}`; }

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function ago(seconds) {
  return seconds < 5 ? "just now" : `${span(seconds < 60 ? Math.floor(seconds / 5) * 5 : seconds)} ago`;
}

function instant(text) { return text.slice(0, 19).replace("T", " "); }

function time(milliseconds) { return new Date(milliseconds).toISOString().slice(11, 19); }

function table(caption, headings, rows, empty) {
  if (!rows.length) return make("caption", { class: "none" }, empty);
  const heads = headings.map(([text, kind]) => make("th", { scope: "col", class: kind }, text));
  return [make("caption", { class: "unseen" }, caption), make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows)];
}

function row(name, cells, kind) {
  return make("tr", { class: kind }, make("th", { scope: "row", class: "name" }, name), cells);
}

function cell(content, kind) { return make("td", { class: kind }, content); }

// ---- The top: what needs attention ---------------------------------------------------------------------------------

function showConcerns(status) {
  const found = status.concerns;
  const worst = found.length ? found[0].severity : "good";
  const urgent = found.filter((concern) => concern.severity !== "note").length;
  let text = "All streams are fresh and complete";
  if (urgent) text = many(urgent, "thing needs attention", "things need attention");
  else if (found.length) text = "Fresh; something to know";
  if ($("verdict").textContent !== text) $("verdict").textContent = text;
  $("verdict").dataset.state = worst;
  document.title = `${urgent ? `(${urgent}) ` : ""}PowerP Streamer`;
  show("concerns", found, (concerns) => {
    if (!concerns.length) {
      return make("li", { class: "good" }, make("strong", {}, "Nothing. Every stream is fresh, and no hole stands."));
    }
    const words = { bad: "Urgent: ", warning: "Warning: ", note: "Note: " };
    return concerns.map((concern) => make("li", { class: concern.severity },
      make("strong", {}, words[concern.severity], concern.what),
      make("span", {}, concern.why),
      make("span", { class: "todo" }, concern.remedy)));
  });
}

// ---- Streams -------------------------------------------------------------------------------------------------------

function sparkline(name, lags, expected) {
  const most = Math.max(...lags, expected * 1.2, 0.1);
  const height = (lag) => 24 - 22 * Math.min(lag / most, 1);
  const step = 128 / 119;
  const points = lags.map((lag, at) => `${(128 - (lags.length - 1 - at) * step + 1).toFixed(1)},${height(lag).toFixed(1)}`);
  const label = lags.length
    ? `Lag of ${name} in the last ten minutes: now ${span(lags.at(-1))}, at most ${span(Math.max(...lags))}`
    : `No lag of ${name} yet`;
  return draw("svg", { class: "spark", viewBox: "0 0 130 26", preserveAspectRatio: "none", role: "img", "aria-label": label },
    draw("line", { class: "limit", x1: 0, x2: 130, y1: height(expected), y2: height(expected) }),
    draw("polyline", { class: "line", points: points.join(" ") }));
}

function showStreams(status) {
  const tracks = new Map(status.tracks.map((track) => [track.stream, track]));
  show("streams", [status.streams, status.tracks.map((track) => [track.lags_s, track.published, track.late, track.revised])], () =>
    table("Streams with their lag", [["stream"], ["watermark lag", "number"], ["expected", "number"], ["last 10 min"], ["settled lag", "number"],
      ["signals", "number"], ["published", "number"], ["late", "number"], ["revised", "number"], ["holes", "number"]],
    status.streams.map((stream) => {
      const track = tracks.get(stream.stream);
      const expected = stream.watermark_lag_expected_s + status.lag_tolerated_s;
      const isLate = stream.watermark_lag_s > expected;
      return row(stream.stream, [
        cell(isLate ? `${span(stream.watermark_lag_s)} ▲` : span(stream.watermark_lag_s), isLate ? "number is-bad" : "number"),
        cell(`≤ ${span(expected)}`, "number"),
        cell(track ? sparkline(stream.stream, track.lags_s, expected) : ""),
        cell(span(stream.settled_lag_s), "number"), cell(count(stream.series), "number"),
        cell(track ? count(track.published) : "", "number"), cell(track ? count(track.late) : "", "number"),
        cell(track ? count(track.revised) : "", "number"),
        cell(stream.holes ? `${count(stream.holes)} ▲` : "0", stream.holes ? "number is-warning" : "number"),
      ]);
    }), "No stream is served here: no shard is owned yet, or the service's time is unknown."));
}

// ---- The timeline: the ledger, drawn -------------------------------------------------------------------------------

/** Neighbouring columns that look alike, as one: [from, to) and what they hold together. */
function* alike(values) {
  for (let from = 0, at = 1; at <= values.length; at += 1) {
    if (at === values.length || Boolean(values[at]) !== Boolean(values[from])) {
      if (values[from]) yield [from, at, values.slice(from, at)];
      from = at;
    }
  }
}

function strip(one, timeline) {
  const from = (column) => time(timeline.first_ms + column * timeline.column_ms);
  const marks = (kind, values, y, height, tell) => [...alike(values)].map(([start, end, held]) =>
    draw("rect", { class: kind, x: start, y, width: end - start, height },
      draw("title", {}, `${from(start)} to ${from(end)}: ${tell(held)}`)));
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  const holes = [...alike(one.holes)];
  const label = `${one.stream}: covered up to ${from(one.covered_to)} UTC; ` +
    `${holes.length ? `holes ${holes.map(([start, end]) => `from ${from(start)} to ${from(end)}`).join(", ")}` : "no holes"}; ` +
    `${count(sum(one.late))} samples late, ${count(sum(one.revised))} revised`;
  return make("div", { class: "strip", "data-stream": one.stream },
    make("span", { class: "name" }, one.stream),
    draw("svg", { viewBox: `0 0 ${timeline.columns} 34`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      draw("rect", { class: "covered", x: one.covered_from, y: 0, width: Math.max(0, one.covered_to - one.covered_from), height: 34 }),
      marks("late", one.late, 22, 12, (held) => `${count(sum(held))} samples late`),
      marks("revised", one.revised, 0, 12, (held) => `${count(sum(held))} samples revised`),
      marks("hole", one.holes, 0, 34, (held) => `hole of ${many(Math.max(...held), "signal", "signals")}`)),
    make("span", { class: "quiet told" }, `up to ${from(one.covered_to)} · ${many(holes.length, "hole", "holes")} · ` +
      `${count(sum(one.published) + sum(one.late))} samples, ${count(sum(one.late))} of them late · ${count(sum(one.revised))} revised`));
}

function showTimeline(timeline) {
  show("timeline", timeline, () => {
    if (!timeline.strips.length) return make("p", { class: "none" }, "Nothing to draw: no shard is owned yet.");
    const edges = [0, 0.25, 0.5, 0.75, 1].map((part) => make("span", {}, time(timeline.first_ms + part * timeline.columns * timeline.column_ms)));
    return [...timeline.strips.map((one) => strip(one, timeline)), make("div", { class: "axis", "aria-hidden": "true" }, edges)];
  });
}

// ---- Faults, holes, delays, budget, shards -------------------------------------------------------------------------

function showFaults(status) {
  const faults = status.faults.map((fault) => ({ ...fault, when: ago(fault.last_ago_s), last_ago_s: 0 }));
  show("faults", faults, () => table("Last errors, the newest first",
    [["error"], ["last"], ["times", "number"], ["cause"], ["what to do"], ["state"]],
    faults.map((fault) => row([fault.stream ? `${fault.what} (${fault.stream})` : fault.what, make("small", { class: "event" }, fault.event)], [
      cell(fault.when, "fixed"), cell(count(fault.times), "number"), cell(fault.cause, "long"), cell(fault.remedy || "It is tried again.", "long"),
      cell(fault.is_over ? "over" : "not known to be over", "fixed"),
    ], fault.is_over ? "over" : "")), "None since this process began."));
}

function holeName(hole) { return hole.tag ? `${hole.tag} (${hole.series})` : hole.series; }

function showHoles(status) {
  show("holes", [status.hole_counts, status.oldest_holes], () => {
    const all = status.hole_counts.reduce((sum, one) => sum + one.holes, 0);
    const caption = all > status.oldest_holes.length ? `The oldest ${status.oldest_holes.length} of ${count(all)} holes` : "Holes, the oldest first";
    return table(caption, [["signal"], ["stream"], ["from, UTC"], ["length", "number"], ["cause"]],
      status.oldest_holes.map((hole) => row(holeName(hole), [
        cell(hole.stream), cell(instant(hole.start), "fixed"), cell(span(hole.span_s), "number"), cell(hole.cause),
      ])), "None: everything behind the frontiers is covered.");
  });
  show("quarantined", status.quarantined, () => table("Quarantined signals", [["signal"], ["stream"], ["since, UTC"]],
    status.quarantined.map((hole) => row(holeName(hole), [cell(hole.stream), cell(instant(hole.start), "fixed")])),
    "None: the service answers for every signal."));
}

function histogram(track, stream, bounds) {
  const most = Math.max(...track.delays, 1);
  const width = 220 / track.delays.length;
  const bars = track.delays.map((delayed, at) => {
    const bound = at < bounds.length ? bounds[at] : Infinity;
    const kind = bound > stream.last_age_s ? "bar lost" : bound > stream.overlap_s ? "bar past" : "bar";
    const height = delayed ? 3 + 30 * Math.log(1 + delayed) / Math.log(1 + most) : 0;
    const range = at < bounds.length ? `at most ${span(bounds[at])}` : `more than ${span(bounds.at(-1))}`;
    return draw("rect", { class: kind, x: (at * width).toFixed(1), y: 34 - height, width: (width - 1).toFixed(1), height },
      draw("title", {}, `${range}: ${count(delayed)} samples`));
  });
  const label = `Arrival delays of ${stream.stream}, on a logarithmic scale, from ${span(bounds[0])} to ${span(bounds.at(-1))} and more`;
  return draw("svg", { class: "histogram", viewBox: "0 0 220 34", role: "img", "aria-label": label }, bars);
}

/** What is known of a quantile: an upper bound, or that it is past all that is told apart. */
function within(bounds) {
  return bounds.at_most_s === null ? `> ${span(bounds.above_s)}` : `≤ ${span(bounds.at_most_s)}`;
}

function share(part, all) { return `${(100 * part / (all || 1)).toFixed(2)} %`; }

function showDelays(status) {
  const tracks = new Map(status.tracks.map((track) => [track.stream, track]));
  const bounds = status.delay_bounds_s;
  const arrived = status.streams.filter((stream) => stream.arrival);
  show("delays", [arrived.map((stream) => [stream.stream, stream.overlap_s, stream.last_age_s, stream.arrival]), status.tracks.map((track) => track.delays)], () =>
    table("Arrival delay by stream", [["stream"], ["half", "number"], ["99 %", "number"], ["overlap", "number"], ["99 % needed", "number"], ["late", "number"],
      ["last lookback", "number"], ["seen then only", "number"], [`from ${span(bounds[0])} to ${span(bounds.at(-1))} and more`]],
    arrived.map((stream) => {
      const arrival = stream.arrival;
      const isShort = (setting) => (arrival.advice.some((advice) => advice.setting === setting) ? "number is-warning" : "number");
      const mark = (setting) => (isShort(setting) === "number" ? "" : " ▲");
      return row(stream.stream, [
        cell(within(arrival.delay.p50), "number"), cell(within(arrival.delay.p99), "number"),
        cell(span(stream.overlap_s) + mark("overlap"), isShort("overlap")), cell(within(arrival.overlap_needed.p99), "number"),
        cell(share(arrival.late, arrival.samples), isShort("overlap")),
        cell(span(stream.last_age_s) + mark("lookback"), isShort("lookback")),
        cell(share(arrival.at_last_look, arrival.samples), isShort("lookback")),
        cell(histogram(tracks.get(stream.stream), stream, bounds)),
      ]);
    }), "Nothing has arrived yet."));
}

function showBudget(status) {
  const budget = status.budget;
  const parts = [
    `${budget.in_flight} of ${budget.limit} requests are out`,
    budget.rate === null ? "no bound on the rate" : `at most ${budget.rate.toFixed(1)} a second`,
    `${(100 * budget.share).toFixed(0)} % of the credential's budget is used here`,
    budget.held_for_s ? `paused for ${span(Math.ceil(budget.held_for_s))}` : "not paused",
    budget.is_reachable ? "the API answers" : "the API does not answer",
  ];
  if (status.clock_skew_s !== undefined && status.clock_skew_s !== null) {
    const skew = status.clock_skew_s;
    parts.push(Math.abs(skew) < 2 ? "this host's clock is right" : `this host's clock is ${span(Math.abs(skew))} ${skew > 0 ? "ahead" : "behind"}`);
  }
  show("budget", parts, () => `${parts.join(" · ")}.`);
  const lanes = Object.entries(budget.waiting);
  show("lanes", lanes, () => table("Requests that wait, by lane", [["lane, the first goes first"], ["waiting", "number"], ["compared"]],
    lanes.map(([lane, waiting]) => row(lane.replace("_", "-"), [
      cell(count(waiting), "number"),
      cell(make("meter", { class: "meter", min: 0, max: Math.max(20, waiting), value: waiting, "aria-label": `${lane} waiting` })),
    ])), ""));
}

function mebibytes(bytes) { return `${(bytes / 1048576).toFixed(bytes < 104857600 ? 1 : 0)} MiB`; }

function showShards(status) {
  ownership = status.ownership;
  const taken = status.ledger_bytes / status.ledger_limit_bytes;
  const isFull = taken > 0.9;
  $("memory").className = isFull ? "is-warning" : "";
  show("memory", [status.ledger_entries, status.ledger_bytes, status.ledger_limit_bytes], () =>
    `${many(status.ledger_entries, "sample is", "samples are")} remembered, in ${mebibytes(status.ledger_bytes)} of ` +
    `${mebibytes(status.ledger_limit_bytes)}${isFull ? " ▲" : ""}.`);
  show("shards", status.ownership, () => table("Shards and their owners", [["shard"], ["owner"], ["series", "number"], ["groups", "number"],
    ["remembered", "number"], ["holes", "number"]],
  status.ownership.map((shard) => row(String(shard.shard), shard.state === "here"
    ? [cell(OWNED.here(shard.owner)), cell(count(shard.series), "number"), cell(count(shard.groups), "number"),
      cell(count(shard.entries), "number"), cell(count(shard.holes), "number")]
    : [make("td", { colspan: 5, class: shard.state === "nobody" ? "is-bad" : "" }, OWNED[shard.state](shard.owner))])), ""));
  show("owners", ownersKnown(status), (text) => text);
}

/** What is said of a shard's owner, by its state. */
const OWNED = {
  here: (owner) => `${owner}, this replica`,
  restoring: (owner) => `${owner}, this replica, which is restoring it`,
  elsewhere: (owner) => owner,
  nobody: () => "nobody ▲",
  deciding: () => "the group of the replicas is deciding",
  unknown: () => "another replica or nobody: not known",
};

function ownersKnown({ ownership, owners }) {
  if (ownership.every((shard) => shard.state === "here" || shard.state === "restoring")) return "";
  if (owners.fault) return `Who owns the other shards is not known. ${owners.fault}`;
  if (owners.asked_ago_s === null) return "Who owns the other shards is being asked.";
  return `The other shards as the group of the replicas had them ${ago(owners.asked_ago_s)}; each replica shows its own on its page.`;
}

// ---- Find a signal -------------------------------------------------------------------------------------------------

let ownership = []; // the shards as they were told last
let chosen = null;
let asked = 0;

async function search() {
  const turn = (asked += 1);
  const text = $("tag").value.trim();
  if (!text) {
    choose(null);
    $("found").replaceChildren();
    $("found-count").textContent = "";
    return;
  }
  const answer = await fetch(`api/signals?find=${encodeURIComponent(text)}`).catch(() => null);
  if (turn !== asked || !answer || !answer.ok) return;
  const found = await answer.json();
  $("found-count").textContent = found.length === 20 ? "the first 20" : many(found.length, "signal", "signals");
  $("found").replaceChildren(...found.map((one) => {
    const button = make("button", { type: "button", "data-series": one.series, "aria-pressed": String(one.series === chosen) },
      one.tag ?? one.name ?? one.series, " ", make("small", {}, `${one.series} · ${one.stream}`));
    button.addEventListener("click", () => choose(one.series));
    return make("li", {}, button);
  }));
  if (found.length === 1) choose(found[0].series);
}

function choose(series) {
  chosen = series;
  for (const button of $("found").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.series === series));
  }
  $("signal").hidden = series === null;
  if (series !== null) refreshSignal();
}

async function refreshSignal() {
  const series = chosen;
  if (series === null || $("signal").contains(document.activeElement)) return; // nothing moves under whoever reads it
  const answer = await fetch(`api/signal?series=${encodeURIComponent(series)}`).catch(() => null);
  if (series !== chosen || !answer || !answer.ok) return;
  const signal = await answer.json();
  if (series !== chosen) return;
  const scrolled = [...$("signal").querySelectorAll(".scroll")].map((region) => region.scrollTop);
  const shard = ownership[signal.shard];
  show("signal", [signal, shard ? OWNED[shard.state](shard.owner) : "not known yet"], signalView);
  [...$("signal").querySelectorAll(".scroll")].forEach((region, at) => { region.scrollTop = scrolled[at] ?? 0; });
}

function plot(samples, name) {
  const known = samples.map((one) => [Date.parse(one.instant), Number(one.value), one.revision]).filter((one) => Number.isFinite(one[1])).reverse();
  if (known.length < 2) return "";
  const [low, high] = [Math.min(...known.map((one) => one[1])), Math.max(...known.map((one) => one[1]))];
  const [first, last] = [known[0][0], known.at(-1)[0]];
  const place = ([at, value]) => [8 + 984 * (at - first) / (last - first || 1), 80 - 70 * (value - low) / (high - low || 1)];
  const points = known.map((one) => place(one).map((number) => number.toFixed(1)).join(",")).join(" ");
  const revised = known.filter((one) => one[2] > 0).map(place);
  return draw("svg", { class: "plot", viewBox: "0 0 1000 90", preserveAspectRatio: "none", role: "img", "aria-label": `The last ${known.length} values of ${name}, from ${low} to ${high}` },
    draw("polyline", { class: "line", points }), revised.map(([x, y]) => draw("rect", { class: "dot", x: x - 3, y: y - 4, width: 6, height: 8 })));
}

function sampleTable(caption, samples, empty) {
  return make("div", {}, make("h3", {}, caption), make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": caption },
    make("table", {}, table(caption, [["instant, UTC"], ["value", "number"], ["revision", "number"]],
      samples.map((one) => make("tr", {}, make("th", { scope: "row", class: "fixed" }, one.instant.replace("T", " ").replace("Z", "")), cell(one.value, "number"),
        cell(String(one.revision), one.revision ? "number is-warning" : "number"))), empty))));
}

function signalView([signal, owner]) {
  const name = signal.found.tag ?? signal.found.name ?? signal.found.series;
  const about = [signal.found.name, signal.description, signal.found.unit && `in ${signal.found.unit}`, `stream ${signal.found.stream}`, signal.found.series];
  const title = make("h3", {}, name);
  const line = make("p", { class: "quiet" }, about.filter(Boolean).join(" · "));
  if (signal.frontier === null) return [title, line, make("p", {}, `Its shard, ${signal.shard}, is not served here. Owner: ${owner}.`)];
  const holes = signal.holes.map((hole) => row(instant(hole.start), [cell(instant(hole.end), "fixed"), cell(span(hole.span_s), "number"), cell(hole.cause)]));
  const unit = signal.found.unit ? ` ${signal.found.unit}` : "";
  const newest = signal.samples.length ? `Last: ${signal.samples[0].value}${unit} at ${signal.samples[0].instant.replace("T", " ")}. ` : "No sample yet. ";
  return [title, line,
    make("p", {}, `${newest}Covered up to ${instant(signal.frontier)}; samples before ${instant(signal.watermark)} count as late. Shard ${signal.shard}.`),
    plot(signal.samples, name),
    make("div", { class: "samples" },
      sampleTable("Last samples", signal.samples, "None is remembered."),
      sampleTable("Revised samples", signal.revised, "None among what is remembered."),
      make("div", {}, make("h3", {}, "Its holes"), make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Its holes" },
        make("table", {}, table("Its holes", [["from, UTC"], ["to, UTC"], ["length", "number"], ["cause"]], holes, "None: it is covered up to the frontier.")))))];
}

// ---- Life ----------------------------------------------------------------------------------------------------------

let source = null;
let heardAt = 0;

function connect() {
  if (source) source.close();
  source = new EventSource(`events?span=${document.querySelector("input[name=span]:checked").value}`);
  source.addEventListener("status", (event) => {
    heard();
    const status = JSON.parse(event.data);
    $("version").textContent = status.version;
    $("clock").textContent = `${instant(status.at)} UTC`;
    for (const part of [showConcerns, showStreams, showFaults, showHoles, showDelays, showBudget, showShards]) part(status);
  });
  source.addEventListener("timeline", (event) => showTimeline(JSON.parse(event.data)));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RECONNECT_MS); // refused: it does not try again by itself
  };
}

function heard() {
  heardAt = Date.now();
  setConnection(true);
}

function setConnection(isLive) {
  if ($("connection").dataset.state === (isLive ? "live" : "lost")) return;
  $("connection").dataset.state = isLive ? "live" : "lost";
  $("connection").textContent = isLive ? "live" : "not connected: what you see is old";
  document.body.classList.toggle("stale", !isLive);
  if (!isLive) {
    $("verdict").textContent = "The daemon does not answer this page: is it running?";
    $("verdict").dataset.state = "bad";
    document.title = "(!) PowerP Streamer";
  }
}

function isDark() {
  return (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

function showTheme() { $("theme").setAttribute("aria-pressed", String(isDark())); }

function remembered(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(key, value);
    return localStorage.getItem(key);
  } catch {
    return null; // a browser may forbid it
  }
}

if (remembered("theme")) document.documentElement.dataset.theme = remembered("theme");
showTheme();
$("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  remembered("theme", document.documentElement.dataset.theme);
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
$("spans").addEventListener("change", connect);
$("find").addEventListener("submit", (event) => { event.preventDefault(); search(); });
let typing = 0;
$("tag").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 200); });
setInterval(refreshSignal, REFRESH_SIGNAL_MS);
setInterval(() => { if (Date.now() - heardAt > STALE_MS) setConnection(false); }, 1000);
connect();
