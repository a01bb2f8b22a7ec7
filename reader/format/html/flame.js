/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The graph of calls: a frame for each calling context, and how to move in it. */

/* What is shown: the weights from `from` to `to`, below the node `focus`. */
const view = { m: null, from: 0, to: 0, focus: 0, chosen: -1, colour: "package", back: [], own: null, mostSelf: 1 };
const sheet = new Sheet("graph", {
	draw: drawFrames,
	hover: (x, y) => tipOf(nodeAt(x, y)),
	click: (x, y) => nodeAt(x, y) >= 0 && zoomTo(nodeAt(x, y)),
	range: (from, to) => zoomToRange(weightAt(from), weightAt(to)),
});

/* --- drawing ------------------------------------------------------------------------------------ */

/* A caller of what is shown. */
const isAbove = (n) => n < view.focus && view.focus < nodes.end[n];
const isFound = (n) => found.fn && n && found.fn[nodes.fn[n]];

function colourOf(n) {
	if (found.fn)
		return isFound(n) ? colours.found : colours.quiet;
	if (!n)
		return colours.level;
	if (isAbove(n))
		return colours.quiet;
	if (view.colour === "package")
		return colours.of[nodes.fn[n]];
	return colours.heat[Math.round(Math.sqrt(view.own[n] / view.mostSelf) * (HEATS - 1))] || colours.heat[0];
}

function drawFrame(n, x, width) {
	const isQuiet = found.fn ? !isFound(n) : isAbove(n), name = isOpen(n) ? nodeName(n) + " ▸" : nodeName(n);
	sheet.bar(nodes.depth[n], x, width, colourOf(n), name, isQuiet ? colours.quietText : colours.text);
	if (n === view.chosen)
		sheet.outline(nodes.depth[n], x, width, colours.selected);
}

/* Goes over all nodes in preorder, without what is below a frame that is not drawn. */
function drawFrames() {
	const { total, start } = view.m, scale = sheet.width / (view.to - view.from || 1);
	for (let n = 0; n < nodes.n;) {
		const x = (start[n] - view.from) * scale, width = total[n] * scale, y = sheet.top(nodes.depth[n]);
		const isBeyond = sheet.isBottomUp ? y < -sheet.row : y > sheet.height;
		if (x >= sheet.width || x + width <= 0 || width < LEAST || isBeyond) {
			if (width > 0 && width < LEAST && x + width > 0 && x < sheet.width)
				sheet.addNarrow(nodes.depth[n], x, width, isFound(n));
			n = nodes.end[n];
			continue;
		}
		if (y > -sheet.row && y < sheet.height)
			drawFrame(n, x, width);
		n++;
	}
}

/* Both pictures: what is found has changed, or a colour. */
function drawSoon() {
	sheet.drawSoon();
	strip.drawSoon();
}

/* --- what is shown ------------------------------------------------------------------------------ */

function show(focus, from, to) {
	Object.assign(view, { focus, from, to });
	byId("back").disabled = !view.back.length;
	byId("reset").disabled = !focus && from === 0 && to === view.m.all;
	showPath();
	showBelow();
	sheet.drawSoon();
}

const rangeOf = (n) => [n, view.m.start[n], view.m.start[n] + view.m.total[n]];

function remember() {
	view.back.push({ m: view.m, focus: view.focus, from: view.from, to: view.to });
}

function zoomTo(n) {
	remember();
	choose(n);
	show(...rangeOf(n));
	sheet.scrollTo(nodes.depth[n]);
}

/* The innermost node that contains all that is shown. */
function zoomToRange(from, to) {
	let focus = 0, inner = 0;
	while (inner !== undefined) {
		focus = inner;
		inner = childrenOf(focus).find((n) => view.m.start[n] <= from && to <= view.m.start[n] + view.m.total[n]);
	}
	remember();
	show(focus, from, to);
	announce(`Shows ${shareText(to - from, view.m.all)}, below ${nodeName(focus)}`);
}

function goBack() {
	const last = view.back.pop();
	if (!last)
		return;
	show(...(last.m === view.m ? [last.focus, last.from, last.to] : rangeOf(last.focus)));
	announce(`Back to ${nodeName(view.focus)}`);
}

function reset() {
	if (view.focus || view.from !== 0 || view.to !== view.m.all)
		zoomTo(0);
}

function setMetric(name) {
	view.m = measure(name);
	view.own = name === "calls" ? nodes.self : Float64Array.from(nodes.self, (_, n) => OWN[name](n));
	view.mostSelf = view.own.reduce((most, x) => Math.max(most, x), 1);
	show(...rangeOf(view.focus));
	showFound();
}

function setShape(isFlame) {
	sheet.isBottomUp = isFlame;
	sheet.scrollTo(nodes.depth[view.focus]);
	sheet.drawSoon();
}

/* --- words about it ----------------------------------------------------------------------------- */

const announce = (text) => byId("status").textContent = text;

function weightText(n) {
	const { total, all, name } = view.m;
	return name === "calls" ? `${countText(total[n])} calls with those below (${shareText(total[n], all)})`
		: `${timeText(total[n])} (${shareText(total[n], all)})`;
}

function factsOf(n) {
	const facts = [weightText(n), `${timeText(view.own[n])} in itself`];
	if (n && !(nodes.flags[n] & 2))
		facts.push(plural(nodes.calls[n], "call"));
	if (isCorrected && nodes.overhead[n])
		facts.push(`${timeText(nodes.overhead[n])} of overhead ${view.m.name === "raw" ? "included" : "subtracted"}`);
	if (isOpen(n))
		facts.push("a call of it was running at the end");
	return facts;
}

/* Chooses a frame: by click, and by arrow keys. */
function choose(n) {
	view.chosen = n;
	announce(`${nodeName(n)}: ${factsOf(n).join(", ")}`);
	if (n && !levels.has(nodes.fn[n]))
		showFunction(nodes.fn[n]);
	sheet.drawSoon();
}

/* The path to what is shown; of a long one the ends. */
function showPath() {
	const path = pathTo(view.focus), cut = path.length > 12 ? [...path.slice(0, 3), -1, ...path.slice(-8)] : path;
	byId("path").replaceChildren(...cut.map((n) => n < 0 ? element("span", {}, `… ${path.length - 11} more …`)
		: button(nodeName(n), () => zoomTo(n), n === view.focus ? { "aria-current": "true" } : {})));
}

/* The same for those who see no canvas: what is directly below. */
function showBelow() {
	if (!byId("below").open)
		return;
	const { total, all } = view.m, isCalls = view.m.name === "calls";
	const children = childrenOf(view.focus).sort((a, b) => total[b] - total[a]);
	const row = (n) => element("tr", {},
		element("td", { class: "n" }, isCalls ? countText(total[n]) : timeText(total[n])), element("td", { class: "n" }, shareText(total[n], all)),
		element("td", { class: "n" }, timeText(view.own[n])), element("td", { class: "n" }, countText(nodes.calls[n])),
		element("td", { class: "name" }, n === view.focus ? nodeLabel(n) : button(nodeLabel(n), () => zoomTo(n))));
	byId("below-title").textContent = `${nodeLabel(view.focus)} and what it called, ${plural(children.length, "function")}`;
	byId("below-rows").replaceChildren(row(view.focus), ...children.slice(0, 500).map(row));
}

/* --- pointer and keys --------------------------------------------------------------------------- */

const weightAt = (x) => view.from + x / sheet.width * (view.to - view.from);

/* The node at a point of the canvas, or -1. */
function nodeAt(x, y) {
	const at = weightAt(x), depth = sheet.rowAt(y), { start, total } = view.m;
	let n = 0;
	while (n >= 0 && nodes.depth[n] < depth) {
		let child = n + 1;
		while (child < nodes.end[n] && !(start[child] <= at && at < start[child] + total[child]))
			child = nodes.end[child];
		n = child < nodes.end[n] ? child : -1;
	}
	return nodes.depth[n] === depth ? n : -1;
}

const tipOf = (n) => n < 0 ? null : { name: nodeName(n), where: nodeLabel(n), facts: factsOf(n) };

/* The frame that an arrow key leads to. */
function neighbour(key) {
	const n = view.chosen < 0 ? view.focus : view.chosen, siblings = n ? childrenOf(nodes.parent[n]) : [0];
	const deeper = sheet.isBottomUp ? "ArrowUp" : "ArrowDown", wide = (child) => view.m.total[child] > 0;
	if (key === "ArrowLeft" || key === "ArrowRight")
		return siblings[siblings.indexOf(n) + (key === "ArrowLeft" ? -1 : 1)] ?? n;
	return key === deeper ? childrenOf(n).find(wide) ?? n : nodes.parent[n];
}

function onGraphKey(event) {
	const isArrow = event.key.startsWith("Arrow");
	if (event.altKey || event.ctrlKey || event.metaKey || !(isArrow || event.key === "Enter" || event.key === " "))
		return;
	event.preventDefault();
	if (!isArrow)
		zoomTo(Math.max(view.chosen, 0));
	else
		choose(neighbour(event.key));
	sheet.scrollTo(nodes.depth[view.chosen]);
}

function initGraph() {
	view.m = measure("time");
	view.to = view.m.all;
	sheet.init(nodes.deepest + 1, false);
	setMetric("time");
	sheet.box.addEventListener("keydown", onGraphKey);
	byId("below").addEventListener("toggle", showBelow);
}
