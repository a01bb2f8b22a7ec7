/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packages of functions, and the colours of frames by package or by self time. */
const HUES = [250, 60, 155, 350, 95, 300, 200, 25, 125, 325];
const HEATS = 32;

const INSTALLED = /\/(?:site-packages|dist-packages|python\d\.\d+)(?=\/(?:lib-dynload\/)?([^/.]+))/g;

function packageOfC(name) {
	const module = /^<built-in method ([\w.]+)\.[^.]+>$/.exec(name);
	return module ? module[1].split(".")[0].replace(/^_/, "") : "builtins";
}

/* The outermost folder above the file that is a package, or else the file. */
function packageOfOwn(file, initialised) {
	let folder = file.replace(/\/?[^/]*$/, ""), name = file.slice(folder.length).replace(/^\/|\.pyw?$/g, "");
	while (folder && initialised.has(folder)) {
		name = folder.replace(/^.*\//, "");
		folder = folder.replace(/\/?[^/]*$/, "");
	}
	return name;
}

/* json for .../lib/python3.12/json/decoder.py, flask for .../site-packages/flask/app.py, ... */
function packageOf(fn, initialised) {
	const file = fileOf(fn), frozen = /^<frozen (\w+)/.exec(file), installed = [...file.matchAll(INSTALLED)].pop();
	if (levels.has(fn))
		return "";
	if (isC(fn))
		return packageOfC(fns.name[fn]);
	return frozen ? frozen[1] : installed ? installed[1] : packageOfOwn(file, initialised);
}

/* Packages by self time: [{name, self, hue}]. Those that take most of the picture have a hue. */
function findPackages() {
	const self = new Map(), initialised = new Set();
	for (const file of fns.files)
		file.endsWith("/__init__.py") && initialised.add(file.slice(0, -"/__init__.py".length));
	fns.package = fns.name.map((_, fn) => printable(packageOf(fn, initialised)));
	for (let fn = 0; fn < fns.n; fn++)
		self.set(fns.package[fn], (self.get(fns.package[fn]) || 0) + fns.self[fn]);
	self.delete("");
	const area = new Map([...self.keys()].map((name) => [name, 0])), { total } = measure("time");
	for (let n = 1; n < nodes.n; n++)
		area.set(fns.package[nodes.fn[n]], area.get(fns.package[nodes.fn[n]]) + total[n]);
	area.delete("");
	const large = [...area].sort((a, b) => b[1] - a[1]).map(([name]) => name).slice(0, HUES.length);
	packages.push(...[...self].map(([name, ns]) => ({ name, self: ns, hue: HUES[large.indexOf(name)] })));
	packages.sort((a, b) => b.self - a.self);
}
const packages = [];
findPackages();

function isDark() {
	const theme = document.documentElement.dataset.theme;
	return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/* Colours that the canvas needs, and those of functions, for the current theme. */
const colours = { of: [], heat: [], swatch: new Map() };

/* Functions of a package differ a little, so that neighbours can be told apart. */
function shade(hue, fn, dark) {
	const step = ((fn * 7919 % 5) - 2) * 0.015;
	return `oklch(${(dark ? 0.44 : 0.84) + step} ${hue === undefined ? 0.012 : dark ? 0.085 : 0.09} ${hue ?? 250})`;
}

function setColours() {
	const dark = isDark(), hues = new Map(packages.map((p) => [p.name, p.hue]));
	colours.text = dark ? "#f3f4f6" : "#15181d";
	colours.quiet = dark ? "#2b3038" : "#e9ebef";
	colours.quietText = dark ? "#9aa3af" : "#5f6672";
	colours.tiny = dark ? "#3a414b" : "#d6d9df";
	colours.level = dark ? "#3d4653" : "#d3d9e2";
	colours.found = dark ? "oklch(0.5 0.19 330)" : "oklch(0.8 0.15 335)";
	colours.selected = dark ? "#ffffff" : "#0b57d0";
	colours.of = fns.package.map((name, fn) => name ? shade(hues.get(name), fn, dark) : colours.level);
	colours.swatch = new Map(packages.map((p) => [p.name, shade(p.hue, 1, dark)]));
	for (let i = 0; i < HEATS; i++) {
		const t = i / (HEATS - 1);
		colours.heat[i] = dark ? `oklch(${0.32 + 0.26 * t} ${0.02 + 0.15 * t} ${70 - 40 * t})`
			: `oklch(${0.95 - 0.25 * t} ${0.02 + 0.15 * t} ${85 - 50 * t})`;
	}
}
