/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A canvas with rows of bars in a box that scrolls. It is as large as the visible part of the box. */
const ROW = 19, LEAST = 0.8, PADDING = 5; /* pixels: height of a row, narrowest bar, before a text */

class Sheet {
	/* use: {draw(), hover(x, y) returns what showTip takes, click(x, y), range(from, to)}, in pixels. */
	constructor(name, use) {
		this.box = byId(name);
		this.canvas = this.box.querySelector("canvas");
		this.context = this.canvas.getContext("2d");
		this.use = use;
		this.widths = new Map();
		this.isDue = false;
		this.rows = 0;
		this.from = this.to = -1; /* of a range that is being selected */
	}

	init(rows, bottomUp) {
		this.rows = rows;
		this.isBottomUp = bottomUp;
		this.box.style.height = `${Math.min(this.box.offsetHeight, Math.max(rows * ROW + 2, 120))}px`;
		this.box.addEventListener("scroll", () => this.drawSoon());
		for (const [type, listen] of [["down", this.onDown], ["move", this.onMove], ["up", this.onUp],
			["cancel", this.onLeave], ["leave", this.onLeave]])
			this.canvas.addEventListener("pointer" + type, listen.bind(this));
		this.resize();
		new ResizeObserver(() => this.resize()).observe(this.box);
	}

	resize() {
		const ratio = window.devicePixelRatio || 1, { box, canvas, context } = this;
		this.row = Math.round(ROW * ratio) / ratio;
		this.gap = Math.max(Math.round(ratio), 1) / ratio;
		this.height = box.clientHeight;
		canvas.parentNode.style.height = `${this.wholeHeight()}px`;
		this.width = box.clientWidth;
		canvas.width = Math.floor(this.width * ratio);
		canvas.height = Math.floor(this.height * ratio);
		canvas.style.width = `${canvas.width / ratio}px`; /* else it would be scaled, and blurred */
		canvas.style.height = `${canvas.height / ratio}px`;
		context.setTransform(ratio, 0, 0, ratio, 0, 0);
		context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
		context.textBaseline = "middle";
		this.draw();
	}

	wholeHeight() { return Math.max(this.rows * this.row, this.height); }

	drawSoon() {
		if (!this.isDue && this.rows)
			requestAnimationFrame(() => this.draw());
		this.isDue = true;
	}

	draw() {
		const begin = performance.now();
		this.isDue = false;
		this.narrow = { from: new Float64Array(this.rows).fill(NaN), to: new Float64Array(this.rows), isFound: new Uint8Array(this.rows) };
		this.context.clearRect(0, 0, this.width, this.height);
		this.use.draw();
		for (let row = 0; row < this.rows; row++)
			this.flush(row);
		performance.measure("pyshim-draw", { start: begin, end: performance.now() });
	}

	/* The top of a row in the canvas, and the row at a height of the canvas. */
	top(row) {
		return (this.isBottomUp ? this.wholeHeight() - (row + 1) * this.row : row * this.row) - this.box.scrollTop;
	}

	rowAt(y) {
		const down = y + this.box.scrollTop;
		return Math.floor((this.isBottomUp ? this.wholeHeight() - down : down) / this.row);
	}

	/* Scrolls so that the row is among the visible ones. */
	scrollTo(row) {
		const top = this.top(row) + this.box.scrollTop, margin = Math.min(4 * this.row, this.height / 4);
		if (top - margin < this.box.scrollTop)
			this.box.scrollTop = top - margin;
		else if (top + this.row + margin > this.box.scrollTop + this.height)
			this.box.scrollTop = top + this.row + margin - this.height;
	}

	/* A bar with a text, which is cut if it is too long. */
	bar(row, x, width, colour, text, textColour) {
		const y = this.top(row), left = Math.max(x, -1), right = Math.min(x + width, this.width + 1);
		this.context.fillStyle = colour;
		this.context.fillRect(left, y, Math.max(right - left - (width > 3 ? this.gap : 0), 0.5), this.row - this.gap);
		if (width > 24)
			this.text(row, Math.max(x, 0) + PADDING, Math.min(x + width, this.width) - 3, text, textColour);
	}

	text(row, left, right, text, colour) {
		const space = right - left;
		if (space < 18)
			return;
		if (!this.widths.has(text))
			this.widths.set(text, this.context.measureText(text).width);
		const wanted = this.widths.get(text), n = Math.max(1, Math.floor(text.length * (space - 10) / wanted));
		this.context.fillStyle = colour;
		this.context.fillText(wanted <= space ? text : text.slice(0, n) + "…", left, this.top(row) + this.row / 2 + 0.5);
	}

	outline(row, x, width, colour) {
		const left = Math.max(x, -1), right = Math.min(x + width, this.width + 1);
		this.context.strokeStyle = colour;
		this.context.lineWidth = 2;
		this.context.strokeRect(left + 1, this.top(row) + 1, right - left - 3, this.row - 3);
	}

	/* A bar that is too narrow: neighbours become one. One is pending in each row. */
	addNarrow(row, x, width, isFound) {
		const { from, to } = this.narrow;
		if (x - to[row] > 0.5)
			this.flush(row);
		if (Number.isNaN(from[row]))
			from[row] = x;
		to[row] = x + width;
		if (isFound)
			this.narrow.isFound[row] = 1;
	}

	flush(row) {
		const { from, to, isFound } = this.narrow;
		this.context.fillStyle = isFound[row] ? colours.found : colours.tiny;
		if (!Number.isNaN(from[row]))
			this.context.fillRect(from[row], this.top(row), Math.max(to[row] - from[row], 0.4), this.row - this.gap);
		from[row] = NaN;
		isFound[row] = 0;
	}

	/* --- pointer --- */

	place(event) {
		const box = this.canvas.getBoundingClientRect();
		return [Math.min(Math.max(event.clientX - box.left, 0), this.width), event.clientY - box.top];
	}

	isDragged() { return this.from >= 0 && Math.abs(this.to - this.from) > 4; }

	showRange() {
		const selection = byId("selection"), box = this.canvas.getBoundingClientRect();
		selection.hidden = !this.isDragged();
		selection.style.left = `${box.left + scrollX + Math.min(this.from, this.to)}px`;
		selection.style.width = `${Math.abs(this.to - this.from)}px`;
		selection.style.top = `${box.top + scrollY}px`;
		selection.style.height = `${box.height}px`;
	}

	onDown(event) {
		if (event.button !== 0)
			return;
		this.from = this.to = this.place(event)[0];
		this.canvas.setPointerCapture(event.pointerId);
	}

	onMove(event) {
		const [x, y] = this.place(event), tip = this.isDragged() ? null : this.use.hover(x, y);
		this.to = x;
		this.showRange();
		this.canvas.style.cursor = tip ? "pointer" : "default";
		showTip(tip, event);
	}

	onUp(event) {
		const [x, y] = this.place(event), from = Math.min(this.from, x), to = Math.max(this.from, x);
		this.to = x;
		if (this.isDragged())
			this.use.range(from, to);
		else if (this.from >= 0)
			this.use.click(x, y);
		this.from = -1;
		this.showRange();
	}

	onLeave(event) {
		showTip(null);
		if (event.type === "pointercancel")
			this.from = -1;
		this.showRange();
	}
}

/* Beside the pointer: {name, where, facts}; null: nothing. */
function showTip(what, event) {
	const tip = byId("tip");
	tip.hidden = !what;
	if (!what)
		return;
	tip.replaceChildren(element("strong", {}, what.name), element("div", { class: "where" }, what.where),
		...what.facts.map((fact) => element("div", {}, fact)));
	const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8), below = event.clientY + 18;
	tip.style.left = `${Math.max(x, 4)}px`;
	tip.style.top = `${Math.max(below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : below, 4)}px`;
}
