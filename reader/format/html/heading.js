/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heading: what was recorded, how long, what is missing, and how times are corrected. */
const isCorrected = report.sources.some((s) => s.is_corrected);

const distinct = (values) => [...new Set(values)].join(", ");

/* From the first start to the last end of all processes. */
function duration() {
	const starts = report.sources.map((s) => s.started), ends = report.sources.map((s) => s.started + s.recorded_s);
	return report.sources.length === 1 ? report.sources[0].recorded_s : Math.max(...ends) - Math.min(...starts);
}

function correctionText() {
	const overhead = report.sources.reduce((sum, s) => sum + (s.is_corrected ? s.overhead_s : 0), 0);
	const raw = report.sources.filter((s) => !s.is_corrected).length;
	if (!isCorrected)
		return /no calibration/.test(report.sources[0].correction) ? "raw: no calibration fits" : "raw";
	return `corrected by ${timeText(overhead * SECOND)}${raw ? `, ${raw} of them raw` : ""}`;
}

function facts() {
	const s = report.sources, sum = (of) => s.reduce((n, one) => n + of(one), 0);
	const found = [
		["Recorded", timeText(duration() * SECOND)],
		["In functions", timeText(report.total_tt * SECOND)],
		["Interpreter", distinct(s.map((one) => `CPython ${one.python}`))],
		["Processes", s.length === 1 ? `1 (${s[0].process})` : countText(s.length)],
		["Threads", countText(sum((one) => one.n_threads))],
		["Calls", countText(report.total_calls)],
		["Events", countText(sum((one) => one.events))],
		["Clock", distinct(s.map((one) => one.clock))],
		["Times", correctionText()],
		["Losses", s.every((one) => one.is_whole) ? "none" : "see below"],
		["Started", new Date(s[0].started * 1000).toLocaleString("sv")],
	];
	if (s.some((one) => one.live))
		found.push(["State", "still running when it was read"]);
	for (const [name, value] of found)
		byId("facts").append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
}

function losses() {
	const lost = report.sources.filter((s) => s.losses);
	for (const s of lost) {
		const name = report.sources.length > 1 ? `Process ${s.process}: ` : "";
		byId("losses").append(element("p", {}, name + s.losses.trim().replace(/\n\s*/g, "; ")));
	}
	byId("losses").hidden = !lost.length;
}

function processes() {
	const names = ["Process", "Parent", "Recorded", "Events", "Threads", "Command"];
	const rows = report.sources.map((s) => element("tr", {},
		element("td", { class: "n" }, String(s.process)), element("td", { class: "n" }, String(s.parent)),
		element("td", { class: "n" }, timeText(s.recorded_s * SECOND)), element("td", { class: "n" }, countText(s.events)),
		element("td", { class: "n" }, countText(s.n_threads)), element("td", { class: "name" }, printable(s.command))));
	return element("div", { class: "scroll" }, element("table", {},
		element("thead", {}, element("tr", {}, ...names.map((n) => element("th", { scope: "col" }, n)))),
		element("tbody", {}, ...rows)));
}

function heading() {
	const s = report.sources, command = printable(s[0].command);
	byId("command").textContent = command + (s.length > 1 ? ` and ${plural(s.length - 1, "other process", "other processes")}` : "");
	document.title = `${command} · pyshim`;
	facts();
	losses();
	if (s.length > 1)
		byId("sources").append(processes());
	for (const one of s)
		byId("sources").append(element("pre", {}, one.preamble + "\n" + one.checks));
	byId("made").textContent = `Made by ${report.generator}. This page needs no network and no other file.`;
}
