/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The flame graph: frames on a canvas that is as large as the window shows, and how to move in it. */
/* ROW: the height of a frame, which is rounded to pixels of the screen as size.row. */
const ROW = 19, LEAST = 0.8, PADDING = 5;

const graph = byId("graph"), canvas = byId("canvas"), context = canvas.getContext("2d");
/* What is shown: the weights from `from` to `to`, below the node `focus`. */
const view = { m: null, from: 0, to: 0, focus: 0, chosen: -1, isFlame: false, colour: "package", back: [] };
const size = { width: 0, height: 0, rows: 0, row: ROW, gap: 1 };
let labelWidth = null, isDue = false, mostSelf = 0;

function drawSoon() {
	if (!isDue)
		requestAnimationFrame(draw);
	isDue = true;
}

/* The canvas is as large as the visible part of the graph; what is scrolled is the box around it. */
function resize() {
	const ratio = window.devicePixelRatio || 1;
	size.rows = nodes.deepest + 1;
	size.row = Math.round(ROW * ratio) / ratio;
	size.gap = Math.max(Math.round(ratio), 1) / ratio;
	size.width = graph.clientWidth;
	size.height = graph.clientHeight;
	byId("graph-size").style.height = `${Math.max(size.rows * size.row, size.height)}px`;
	size.width = graph.clientWidth;
	canvas.width = Math.floor(size.width * ratio);
	canvas.height = Math.floor(size.height * ratio);
	canvas.style.width = `${canvas.width / ratio}px`; /* else it would be scaled, and blurred */
	canvas.style.height = `${canvas.height / ratio}px`;
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
	context.textBaseline = "middle";
	labelWidth = labelWidth || new Float32Array(fns.n);
	draw();
}

/* --- drawing ------------------------------------------------------------------------------------ */

/* The top of a row in the canvas. */
function topOf(depth) {
	const height = Math.max(size.rows * size.row, size.height);
	return (view.isFlame ? height - (depth + 1) * size.row : depth * size.row) - graph.scrollTop;
}

/* A caller of what is shown. */
const isAbove = (n) => n < view.focus && view.focus < nodes.end[n];

function colourOf(n) {
	const fn = nodes.fn[n];
	if (found.fn)
		return n && found.fn[fn] ? colours.found : colours.quiet;
	if (!n)
		return colours.level;
	if (isAbove(n))
		return colours.quiet;
	if (view.colour === "package")
		return colours.of[fn];
	return colours.heat[Math.round(Math.sqrt(view.own[n] / mostSelf) * (HEATS - 1))] || colours.heat[0];
}

function widthOf(text, fn) {
	if (fn < 0)
		return context.measureText(text).width;
	if (!labelWidth[fn])
		labelWidth[fn] = context.measureText(text).width;
	return labelWidth[fn];
}

/* The name, cut where it does not fit. */
function drawName(n, x, y, width) {
	const name = nodeName(n) + (isOpen(n) ? " ▸" : ""), left = Math.max(x, 0) + PADDING;
	const space = Math.min(x + width, size.width) - left - 3, wanted = widthOf(nodeName(n), nodes.fn[n]) + (isOpen(n) ? 12 : 0);
	if (space < 18)
		return;
	const cut = wanted <= space ? name : name.slice(0, Math.max(1, Math.floor(name.length * (space - 10) / wanted))) + "…";
	context.fillStyle = (found.fn ? !found.fn[nodes.fn[n]] : isAbove(n)) ? colours.quietText : colours.text;
	context.fillText(cut, left, y + size.row / 2 + 0.5);
}

function drawFrame(n, x, y, width) {
	const left = Math.max(x, -1), right = Math.min(x + width, size.width + 1);
	context.fillStyle = colourOf(n);
	context.fillRect(left, y, Math.max(right - left - (width > 3 ? size.gap : 0), 0.5), size.row - size.gap);
	if (n === view.chosen) {
		context.strokeStyle = colours.selected;
		context.lineWidth = 2;
		context.strokeRect(left + 1, y + 1, right - left - 3, size.row - 3);
	}
	if (width > 24)
		drawName(n, x, y, width);
}

/* Frames that are too narrow: neighbours become one bar. One is pending in each row. */
class Narrow {
	constructor() {
		this.from = new Float64Array(size.rows + 1).fill(-1);
		this.to = new Float64Array(size.rows + 1);
		this.isFound = new Uint8Array(size.rows + 1);
	}
	add(n, x, width) {
		const depth = nodes.depth[n];
		if (this.from[depth] >= 0 && x - this.to[depth] > 0.5)
			this.flush(depth);
		if (this.from[depth] < 0)
			this.from[depth] = x;
		this.to[depth] = x + width;
		if (found.fn && found.fn[nodes.fn[n]])
			this.isFound[depth] = 1;
	}
	flush(depth) {
		context.fillStyle = this.isFound[depth] ? colours.found : colours.tiny;
		if (this.from[depth] >= 0)
			context.fillRect(this.from[depth], topOf(depth), Math.max(this.to[depth] - this.from[depth], 0.4), size.row - size.gap);
		this.from[depth] = -1;
		this.isFound[depth] = 0;
	}
}

function draw() {
	const begin = performance.now(), { total, start } = view.m, narrow = new Narrow();
	const scale = size.width / (view.to - view.from || 1);
	isDue = false;
	context.clearRect(0, 0, size.width, size.height);
	for (let n = 0; n < nodes.n;) {
		const x = (start[n] - view.from) * scale, width = total[n] * scale, y = topOf(nodes.depth[n]);
		const isBeyond = view.isFlame ? y < -size.row : y > size.height;
		if (x >= size.width || x + width <= 0 || width < LEAST || isBeyond) {
			if (width > 0 && width < LEAST && x + width > 0 && x < size.width)
				narrow.add(n, x, width);
			n = nodes.end[n];
			continue;
		}
		if (y > -size.row && y < size.height)
			drawFrame(n, x, y, width);
		n++;
	}
	for (let depth = 0; depth < size.rows; depth++)
		narrow.flush(depth);
	performance.measure("pyshim-draw", { start: begin, end: performance.now() });
}

/* --- what is shown ------------------------------------------------------------------------------ */

function show(focus, from, to) {
	Object.assign(view, { focus, from, to });
	byId("back").disabled = !view.back.length;
	byId("reset").disabled = !focus && from === 0 && to === view.m.all;
	showPath();
	showBelow();
	drawSoon();
}

function remember() {
	view.back.push({ metric: view.m.name, focus: view.focus, from: view.from, to: view.to });
	if (view.back.length > 200)
		view.back.shift();
}

function zoomTo(n) {
	remember();
	choose(n);
	show(n, view.m.start[n], view.m.start[n] + view.m.total[n]);
	scrollTo(n);
}

/* The innermost node that contains all that is shown. */
function zoomToRange(from, to) {
	let focus = 0, inner = 0;
	while (inner >= 0) {
		focus = inner;
		inner = childrenOf(focus).findIndex((n) => view.m.start[n] <= from && to <= view.m.start[n] + view.m.total[n]);
		inner = inner < 0 ? -1 : childrenOf(focus)[inner];
	}
	remember();
	show(focus, from, to);
	announce(`Shows ${shareText(to - from, view.m.all)}, below ${nodeName(focus)}`);
}

function goBack() {
	const last = view.back.pop();
	if (!last)
		return;
	if (last.metric === view.m.name)
		show(last.focus, last.from, last.to);
	else
		show(last.focus, view.m.start[last.focus], view.m.start[last.focus] + view.m.total[last.focus]);
	announce(`Back to ${nodeName(view.focus)}`);
}

function reset() {
	if (view.focus || view.from !== 0 || view.to !== view.m.all)
		zoomTo(0);
}

function setMetric(name) {
	view.m = measure(name);
	view.own = name === "calls" ? nodes.self : Float64Array.from(nodes.self, (_, n) => METRICS[name].own(n));
	mostSelf = view.own.reduce((most, x) => Math.max(most, x), 1);
	show(view.focus, view.m.start[view.focus], view.m.start[view.focus] + view.m.total[view.focus]);
	showFound();
}

function setShape(isFlame) {
	view.isFlame = isFlame;
	scrollTo(view.focus);
	drawSoon();
}

/* Scrolls so that the frame is among the visible ones. */
function scrollTo(n) {
	const height = Math.max(size.rows * size.row, size.height), depth = nodes.depth[n];
	const top = view.isFlame ? height - (depth + 1) * size.row : depth * size.row, margin = Math.min(4 * size.row, size.height / 4);
	if (top - margin < graph.scrollTop)
		graph.scrollTop = top - margin;
	else if (top + size.row + margin > graph.scrollTop + size.height)
		graph.scrollTop = top + size.row + margin - size.height;
}

/* --- words about it ----------------------------------------------------------------------------- */

function announce(text) {
	byId("status").textContent = text;
}

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
	drawSoon();
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

/* The node at a point of the canvas, or -1. */
function nodeAt(x, y) {
	const at = view.from + x / size.width * (view.to - view.from);
	const height = Math.max(size.rows * size.row, size.height), down = y + graph.scrollTop;
	const depth = Math.floor((view.isFlame ? height - down : down) / size.row), { start, total } = view.m;
	let n = 0;
	while (n >= 0 && nodes.depth[n] < depth) {
		let child = n + 1;
		while (child < nodes.end[n] && !(start[child] <= at && at < start[child] + total[child]))
			child = nodes.end[child];
		n = child < nodes.end[n] ? child : -1;
	}
	return nodes.depth[n] === depth ? n : -1;
}

function showTip(n, event) {
	const tip = byId("tip");
	tip.hidden = n < 0;
	canvas.style.cursor = n < 0 ? "default" : "pointer";
	if (n < 0)
		return;
	tip.replaceChildren(element("strong", {}, nodeName(n)), element("div", { class: "where" }, nodeLabel(n)),
		...factsOf(n).map((fact) => element("div", {}, fact)));
	const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
	const y = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18;
	tip.style.left = `${Math.max(x, 4)}px`;
	tip.style.top = `${Math.max(y, 4)}px`;
}

const drag = { from: -1, to: -1 };

function place(event) {
	const box = canvas.getBoundingClientRect();
	return { x: Math.min(Math.max(event.clientX - box.left, 0), size.width), y: event.clientY - box.top };
}

function showDrag(isShown) {
	const selection = byId("selection"), box = canvas.getBoundingClientRect();
	selection.hidden = !isShown;
	selection.style.left = `${box.left + scrollX + Math.min(drag.from, drag.to)}px`;
	selection.style.width = `${Math.abs(drag.to - drag.from)}px`;
	selection.style.top = `${box.top + scrollY}px`;
	selection.style.height = `${box.height}px`;
}

const isDragged = () => drag.from >= 0 && Math.abs(drag.to - drag.from) > 4;

function onMove(event) {
	const { x, y } = place(event);
	drag.to = x;
	showDrag(isDragged());
	showTip(isDragged() ? -1 : nodeAt(x, y), event);
}

function onUp(event) {
	const { x, y } = place(event), n = nodeAt(x, y), perPixel = (view.to - view.from) / size.width;
	if (drag.from < 0)
		return;
	drag.to = x;
	if (isDragged())
		zoomToRange(view.from + Math.min(drag.from, x) * perPixel, view.from + Math.max(drag.from, x) * perPixel);
	else if (n >= 0)
		zoomTo(n);
	drag.from = -1;
	showDrag(false);
}

/* The frame that an arrow key leads to. */
function neighbour(key) {
	const n = Math.max(view.chosen, view.focus), siblings = n ? childrenOf(nodes.parent[n]) : [0];
	const deeper = view.isFlame ? "ArrowUp" : "ArrowDown", wide = (child) => view.m.total[child] > 0;
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
	scrollTo(view.chosen);
}

function initGraph() {
	graph.style.height = `${Math.min(graph.offsetHeight, Math.max((nodes.deepest + 1) * ROW + 2, 120))}px`;
	canvas.addEventListener("pointerdown", (event) => {
		if (event.button === 0) {
			drag.from = drag.to = place(event).x;
			canvas.setPointerCapture(event.pointerId);
		}
	});
	canvas.addEventListener("pointermove", onMove);
	canvas.addEventListener("pointerup", onUp);
	canvas.addEventListener("pointercancel", () => { drag.from = -1; showDrag(false); });
	canvas.addEventListener("pointerleave", () => showTip(-1));
	graph.addEventListener("scroll", drawSoon);
	graph.addEventListener("keydown", onGraphKey);
	byId("below").addEventListener("toggle", showBelow);
	new ResizeObserver(() => resize()).observe(graph);
}
