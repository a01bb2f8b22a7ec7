/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts the parts together: what is at the top of the graph, keys, themes and printing. */
const THEMES = ["auto", "light", "dark"];

function refresh() {
	setColours();
	showLegend();
	drawSoon();
}

function setTheme(theme) {
	if (theme === "auto")
		delete document.documentElement.dataset.theme;
	else
		document.documentElement.dataset.theme = theme;
}

function nextTheme() {
	const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "auto") + 1) % THEMES.length];
	setTheme(next);
	byId("theme").textContent = `Theme: ${next}`;
	byId("theme").setAttribute("aria-label", `Colour theme: ${next === "auto" ? "as the system" : next}`);
	refresh();
}

/* The packages with most self time; a click marks their functions. */
function showLegend() {
	const all = packages.reduce((sum, p) => sum + p.self, 0), large = packages.filter((p) => p.hue !== undefined);
	const swatch = (p) => {
		const mark = element("span", { class: "swatch" });
		mark.style.background = colours.swatch.get(p.name);
		return mark;
	};
	byId("legend").replaceChildren(...large.map((p) => {
		const made = button("", () => findOnly((fn) => fns.package[fn] === p.name, ": " + p.name), { title: "Mark in the graph" });
		made.append(swatch(p), p.name, element("span", { class: "share" }, shareText(p.self, all)));
		return made;
	}));
	byId("legend").hidden = view.colour !== "package";
}

function onKey(event) {
	const isTyping = event.target.closest("input, select, textarea");
	if (event.key === "Escape" && isTyping)
		event.target.blur();
	if (isTyping || event.altKey || event.ctrlKey || event.metaKey)
		return;
	if (event.key === "/")
		byId("search").focus();
	else if (event.key === "Backspace")
		goBack();
	else if (event.key === "Escape" || event.key === "0")
		found.fn ? findOnly(null, "") : reset();
	else if (event.key === "i" || event.key === "I")
		document.querySelector(`[name=shape][value=${sheet.isBottomUp ? "icicle" : "flame"}]`).click();
	else
		return;
	event.preventDefault();
}

/* Paper is white, whatever the screen is. */
function print(isBegin) {
	if (isBegin)
		print.theme = document.documentElement.dataset.theme || "auto";
	setTheme(isBegin ? "light" : print.theme);
	setColours();
	showLegend();
	sheet.draw();
	strip.draw();
}

function initControls() {
	const on = (id, type, use) => byId(id).addEventListener(type, use);
	if (isCorrected)
		byId("metric").insertBefore(element("option", { value: "raw" }, "time with overhead"), byId("metric").options[1]);
	on("metric", "change", () => setMetric(byId("metric").value));
	on("colour", "change", () => { view.colour = byId("colour").value; refresh(); });
	for (const shape of document.getElementsByName("shape"))
		shape.addEventListener("change", () => setShape(shape.value === "flame"));
	on("back", "click", goBack);
	on("reset", "click", reset);
	on("search", "input", search);
	on("search-form", "submit", (event) => event.preventDefault());
	on("theme", "click", nextTheme);
	document.addEventListener("keydown", onKey);
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
	addEventListener("beforeprint", () => print(true));
	addEventListener("afterprint", () => print(false));
}

heading();
initTable();
setColours();
initGraph();
initTimeline();
initControls();
showLegend();
if (nodes.n === 1)
	announce("The recording has no calls.");
performance.measure("pyshim-open", { start: "pyshim-begin", end: performance.now() });
