/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The timeline: single calls of each thread, as far back as the recording still holds them. */
const OPEN = 1, EARLIER = 2, RAISED = 4, SUSPENDED = 8, RESUMED = 16, BLIND = 32, CUT = 64;
const LONGEST = 50, MIN_RANGE = 20; /* rows of the table; ns */

const spans = columns(report.timeline, ["fn", "depth", "start", "duration", "flags"]);
const tracks = report.timeline.tracks;
/* What is shown, in ns since the first process began to be recorded. */
const period = { from: 0, to: 1, first: 0, last: 1, back: [] };
const strip = new Sheet("timeline", {
	draw: drawSpans,
	hover: (x, y) => tipOfSpan(spanAt(x, y)),
	click: (x, y) => zoomToSpan(spanAt(x, y)),
	range: (from, to) => showPeriod(timeAt(from), timeAt(to)),
});
const timeAt = (x) => period.from + x / strip.width * (period.to - period.from);

/* Sets when calls begin, and the rows of each thread: a name, and a row for each depth. */
function layTracks() {
	let at = 0, row = 1;
	period.first = Infinity;
	period.last = -Infinity;
	for (const track of tracks) {
		const source = report.sources[track.source], name = track.thread || `thread #${track.number}`;
		let time = track.begin, deepest = 0;
		Object.assign(track, { first: at, end: at + track.n_spans, row, name: report.sources.length > 1 ? `${source.process}: ${name}` : name });
		for (; at < track.end; at++) {
			spans.start[at] = time += spans.start[at];
			deepest = Math.max(deepest, spans.depth[at]);
			period.last = Math.max(period.last, time + spans.duration[at]);
		}
		period.first = Math.min(period.first, track.begin);
		row += deepest + 2;
	}
	Object.assign(period, { from: period.first, to: period.last });
	return row;
}

/* --- drawing ------------------------------------------------------------------------------------ */

function spanColour(i) {
	if (spans.flags[i] & BLIND)
		return colours.tiny;
	if (found.fn)
		return found.fn[spans.fn[i]] ? colours.found : colours.quiet;
	return colours.of[spans.fn[i]];
}

const spanName = (i) => spans.flags[i] & BLIND ? "not recorded" : fns.short[spans.fn[i]] + (spans.flags[i] & OPEN ? " ▸" : "");

function drawTrack(track) {
	const scale = strip.width / (period.to - period.from);
	for (let i = track.first; i < track.end; i++) {
		const x = (spans.start[i] - period.from) * scale, width = spans.duration[i] * scale, row = track.row + 1 + spans.depth[i];
		if (x > strip.width)
			break;
		if (x + width < 0)
			continue;
		if (width < LEAST)
			strip.addNarrow(row, x, width, found.fn && found.fn[spans.fn[i]]);
		else
			strip.bar(row, x, width, spanColour(i), spanName(i), colours.text);
	}
	if (track.is_cut && track.from > period.from) { /* earlier calls are missing */
		strip.context.fillStyle = colours.quiet;
		strip.context.fillRect(0, strip.top(track.row), (track.from - period.from) * scale, strip.row - strip.gap);
	}
	strip.text(track.row, PADDING, strip.width, track.name, colours.quietText);
}

/* Times along the top: steps of 1, 2 or 5 times a power of ten. */
function drawAxis() {
	const wanted = (period.to - period.from) * 110 / strip.width, power = 10 ** Math.floor(Math.log10(wanted));
	const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= wanted), scale = strip.width / (period.to - period.from);
	const decimals = Math.min(Math.max(0, 9 - Math.floor(Math.log10(step) + 1e-9)), 9);
	for (let time = Math.ceil(period.from / step) * step; time < period.to; time += step) {
		const x = (time - period.from) * scale;
		strip.context.fillStyle = colours.quiet;
		strip.context.fillRect(x, 0, 1, strip.height);
		strip.text(0, x + 4, x + 200, `${(time / SECOND).toFixed(decimals)} s`, colours.quietText);
	}
}

function drawSpans() {
	drawAxis();
	tracks.forEach(drawTrack);
}

/* --- what is shown ------------------------------------------------------------------------------ */

function showPeriod(from, to, isBack) {
	if (!isBack)
		period.back.push([period.from, period.to]);
	period.from = Math.max(Math.min(from, period.last - MIN_RANGE), period.first);
	period.to = Math.min(Math.max(to, period.from + MIN_RANGE), period.last);
	byId("period").textContent = `${timeText(period.to - period.from)} from ${(period.from / SECOND).toFixed(6)} s on`;
	showLongest();
	strip.drawSoon();
}

const showAll = () => showPeriod(period.first, period.last);

function zoomBy(factor, middle = (period.from + period.to) / 2) {
	showPeriod(middle - (middle - period.from) * factor, middle + (period.to - middle) * factor);
}

function move(share) {
	const length = period.to - period.from, from = Math.min(Math.max(period.from + share * length, period.first), period.last - length);
	showPeriod(from, from + length);
}

/* The span at a point, or -1. */
function spanAt(x, y) {
	const row = strip.rowAt(y), time = timeAt(x), track = tracks.findLast((one) => one.row < row);
	for (let i = track ? track.first : 0; track && i < track.end && spans.start[i] <= time; i++) {
		if (track.row + 1 + spans.depth[i] === row && time <= spans.start[i] + spans.duration[i])
			return i;
	}
	return -1;
}

function spanFacts(i) {
	const flags = spans.flags[i], marks = [[OPEN, "was running at the end"], [EARLIER, "began earlier"], [RAISED, "left by an exception"],
		[SUSPENDED, "was suspended"], [RESUMED, "a generator or coroutine that continues"], [CUT, "without a return event"]];
	return [`${timeText(spans.duration[i])}, as measured`, `from ${(spans.start[i] / SECOND).toFixed(9)} s on`,
		...marks.filter(([bit]) => flags & bit).map(([, text]) => text)];
}

function tipOfSpan(i) {
	return i < 0 ? null : { name: spanName(i), where: spans.flags[i] & BLIND ? "" : fns.label[spans.fn[i]], facts: spanFacts(i) };
}

function zoomToSpan(i) {
	if (i < 0)
		return;
	byId("timeline-status").textContent = `${spanName(i)}: ${spanFacts(i).join(", ")}`;
	if (!(spans.flags[i] & BLIND))
		showFunction(spans.fn[i]);
	showPeriod(spans.start[i], spans.start[i] + spans.duration[i]);
}

/* The same for those who see no canvas: the longest calls that begin in the period. */
function showLongest() {
	if (!byId("longest").open)
		return;
	const all = [], byTime = (a, b) => spans.duration[b] - spans.duration[a];
	spans.start.forEach((start, i) => start >= period.from && start <= period.to && all.push(i));
	byId("longest-rows").replaceChildren(...all.sort(byTime).slice(0, LONGEST).map((i) => element("tr", {},
		element("td", { class: "n" }, timeText(spans.duration[i])), element("td", { class: "n" }, `${(spans.start[i] / SECOND).toFixed(6)} s`),
		element("td", {}, printable(tracks.find((track) => i < track.end).name)),
		element("td", { class: "name" }, button(spanName(i), () => zoomToSpan(i))))));
}

/* Keys while the timeline has the focus. */
function onTimelineKey(event) {
	const keys = { ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), "+": () => zoomBy(0.5), "-": () => zoomBy(2), Escape: showAll,
		Backspace: () => period.back.length && showPeriod(...period.back.pop(), true) };
	if (!keys[event.key] || event.altKey || event.ctrlKey || event.metaKey)
		return;
	keys[event.key]();
	event.preventDefault();
	event.stopPropagation();
}

function initTimeline() {
	const t = report.timeline, older = t.left_out + t.folded;
	byId("timeline-section").hidden = !tracks.length;
	if (!tracks.length)
		return;
	for (const track of tracks)
		track.thread = printable(track.thread);
	const rows = layTracks();
	byId("timeline-facts").textContent = `${plural(t.events, "event")} of ${plural(tracks.length, "thread")}, the newest `
		+ `${timeText(period.last - period.first)} before the end. Times are as measured. `
		+ (older ? `${plural(older, "older event is", "older events are")} not shown.` : "Nothing older is missing.");
	strip.init(rows, false);
	showPeriod(period.first, period.last, true);
	strip.box.addEventListener("keydown", onTimelineKey);
	byId("longest").addEventListener("toggle", showLongest);
	byId("last").addEventListener("change", () => showPeriod(period.last - (Number(byId("last").value) || Infinity), period.last));
}
