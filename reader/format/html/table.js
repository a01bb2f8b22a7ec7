/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of functions, and callers and callees of the chosen one. */
const SOME_ROWS = 100;
const functionTotal = report.total_tt * SECOND;

const COLUMNS = [
	{ name: "calls", title: "Calls", value: (fn) => fns.calls[fn], text: callsText },
	{ name: "self", title: "Self", value: (fn) => fns.self[fn], text: (fn) => timeText(fns.self[fn]) },
	{ name: "self_share", title: "%", value: (fn) => fns.self[fn], text: (fn) => shareText(fns.self[fn], functionTotal), of: "self", isBar: true },
	{ name: "total", title: "Cumulative", value: (fn) => fns.total[fn], text: (fn) => timeText(fns.total[fn]) },
	{ name: "total_share", title: "%", value: (fn) => fns.total[fn], text: (fn) => shareText(fns.total[fn], functionTotal), of: "cumulative", isBar: true },
	{ name: "each", title: "Per call", value: (fn) => perCall(fn), text: (fn) => timeText(perCall(fn)) },
	{ name: "name", title: "Function", value: (fn) => fns.label[fn], text: (fn) => fns.label[fn] },
];
const table = { sort: "self", isUp: false, rows: SOME_ROWS, fns: [], chosen: -1 };

const perCall = (fn) => fns.primitive[fn] ? fns.total[fn] / fns.primitive[fn] : 0;

/* As in pstats: all calls, and those that are not recursive. */
function callsText(fn, of = fns) {
	return of.calls[fn] === of.primitive[fn] ? countText(of.calls[fn]) : `${countText(of.calls[fn])}/${countText(of.primitive[fn])}`;
}

const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;

function listFunctions() {
	const pattern = patternOf(byId("filter"), byId("filtered")), value = COLUMNS.find((c) => c.name === table.sort).value;
	const all = [...fns.name.keys()].filter((fn) => fns.calls[fn] || fns.total[fn] || fns.self[fn]);
	table.fns = all.filter((fn) => !pattern || pattern.test(fns.label[fn]) || pattern.test(nameOf(fn)));
	table.fns.sort((a, b) => (table.isUp ? 1 : -1) * compare(value(a), value(b)) || a - b);
	if (pattern)
		byId("filtered").textContent = `${countText(table.fns.length)} of ${countText(all.length)}`;
	showRows();
}

function functionButton(fn) {
	const label = fns.label[fn], name = fns.short[fn], where = isC(fn) ? "" : `${shortFile(fn)}:${fns.line[fn]}`;
	return element("td", { class: "name" }, button(name, () => chooseFunction(fn), { title: label }),
		element("span", { class: "where" }, printable(where)));
}

function cell(column, fn) {
	if (column.name === "name")
		return functionButton(fn);
	const made = element("td", { class: column.isBar ? "n share-bar" : "n" }, column.text(fn));
	if (column.isBar)
		made.style.setProperty("--share", `${100 * column.value(fn) / (functionTotal || 1)}%`);
	return made;
}

function showRows() {
	const shown = table.fns.slice(0, table.rows), more = byId("all-rows");
	byId("rows").replaceChildren(...shown.map((fn) => element("tr", { "aria-current": fn === table.chosen, "data-fn": fn },
		...COLUMNS.map((column) => cell(column, fn)))));
	more.hidden = shown.length === table.fns.length;
	more.textContent = `Show all ${plural(table.fns.length, "function")}`;
}

function showHeads() {
	byId("heads").replaceChildren(...COLUMNS.map((column) => {
		const order = table.sort !== column.name ? "none" : table.isUp ? "ascending" : "descending";
		const mark = { none: "", ascending: " ▴", descending: " ▾" }[order];
		const label = column.of ? { "aria-label": `Share of ${column.of} time` } : {};
		return element("th", { scope: "col", "aria-sort": order },
			button(column.title + mark, () => sortBy(column.name), label));
	}));
}

function sortBy(name) {
	table.isUp = table.sort === name ? !table.isUp : name === "name";
	table.sort = name;
	showHeads();
	listFunctions();
	byId("heads").children[COLUMNS.findIndex((c) => c.name === name)].firstChild.focus();
}

/* --- the chosen function ------------------------------------------------------------------------ */

const edges = { ...columns(report.edges, [...NUMBERS, "n_callers", "caller"]), callee: [], first: [] };

function linkEdges() {
	let edge = 0;
	for (let fn = 0; fn < fns.n; fn++) {
		edges.first[fn] = edge;
		for (let i = 0; i < edges.n_callers[fn]; i++)
			edges.callee[edge++] = fn;
	}
}

function edgeRows(chosen, other) {
	const rows = chosen.sort((a, b) => edges.total[b] - edges.total[a] || edges.calls[b] - edges.calls[a]);
	return rows.map((edge) => element("tr", {},
		element("td", { class: "n" }, callsText(edge, edges)), element("td", { class: "n" }, timeText(edges.self[edge])),
		element("td", { class: "n" }, timeText(edges.total[edge])), functionButton(other[edge])));
}

function edgeTable(title, chosen, other) {
	if (!chosen.length)
		return element("p", { class: "hint" }, `${title}: none`);
	return element("div", { class: "scroll" }, element("table", {}, element("caption", {}, `${title} (${chosen.length})`),
		element("thead", {}, element("tr", {}, ...["Calls", "Self", "Cumulative", "Function"].map((t) => element("th", { scope: "col" }, t)))),
		element("tbody", {}, ...edgeRows(chosen, other))));
}

function functionFacts(fn) {
	const facts = [["Calls", callsText(fn)], ["Self", `${timeText(fns.self[fn])} (${shareText(fns.self[fn], functionTotal)})`],
		["Cumulative", `${timeText(fns.total[fn])} (${shareText(fns.total[fn], functionTotal)})`], ["Package", fns.package[fn]]];
	if (fns.exceptions[fn])
		facts.push(["Exceptions", countText(fns.exceptions[fn])]);
	if (isCorrected)
		facts.push(["Overhead", `${timeText(fns.self_overhead[fn])} of self, ${timeText(fns.total_overhead[fn])} of cumulative`]);
	return element("dl", {}, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function showFunction(fn) {
	const first = edges.first[fn], callers = [], callees = [];
	table.chosen = fn;
	for (let edge = first; edge < first + edges.n_callers[fn]; edge++)
		callers.push(edge);
	edges.caller.forEach((caller, edge) => caller === fn && callees.push(edge));
	byId("chosen").replaceChildren(element("h3", {}, fns.short[fn]), element("p", { class: "where" }, fns.label[fn]),
		functionFacts(fn), button("Mark in the graph", () => findOnly((one) => one === fn, ": " + fns.short[fn])),
		edgeTable("Callers", callers, edges.caller), edgeTable("Callees", callees, edges.callee));
	for (const row of byId("rows").children)
		Number(row.dataset.fn) === fn ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current");
}

function chooseFunction(fn) {
	showFunction(fn);
	announce(`${fns.short[fn]}: its callers and callees follow the table of functions`);
}

function initTable() {
	linkEdges();
	showHeads();
	listFunctions();
	byId("filter").addEventListener("input", listFunctions);
	byId("all-rows").addEventListener("click", () => {
		table.rows = table.fns.length;
		showRows();
	});
}
