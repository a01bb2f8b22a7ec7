/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packages of functions, and the colours of frames by package or by self time. */
const HUES = [212, 28, 150, 330, 48, 268, 178, 2, 96, 300];
const HEATS = 32;

/* json for .../lib/python3.12/json/decoder.py, flask for .../site-packages/flask/app.py, ... */
function packageOf(fn) {
	const file = fileOf(fn), name = fns.name[fn];
	if (levels.has(fn))
		return "";
	if (isC(fn)) {
		const module = /^<built-in method ([\w.]+)\.[^.]+>$/.exec(name);
		return module && module[1] !== "builtins" ? module[1].split(".")[0].replace(/^_/, "") : "builtins";
	}
	const known = /\/(?:site-packages|dist-packages|python\d\.\d+)\/(?:lib-dynload\/)?([^/.]+)/g;
	const frozen = /^<frozen (?:importlib|[\w]+)/.exec(file), all = [...file.matchAll(known)].pop();
	if (frozen)
		return frozen[0].slice(8);
	if (all)
		return all[1];
	const parts = file.split("/");
	return parts.length > 1 ? parts[parts.length - 2] : file;
}

/* Packages by self time, the largest first: [{name, self, hue}]. */
function findPackages() {
	const self = new Map();
	fns.package = fns.name.map((_, fn) => printable(packageOf(fn)));
	for (let fn = 0; fn < fns.n; fn++)
		self.set(fns.package[fn], (self.get(fns.package[fn]) || 0) + fns.self[fn]);
	self.delete("");
	const all = [...self].sort((a, b) => b[1] - a[1]).map(([name, ns], i) => ({ name, self: ns, hue: HUES[i] }));
	packages.push(...all);
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
	const step = (fn * 7919 % 5) - 2;
	if (hue === undefined)
		return `hsl(220 ${dark ? 8 : 10}% ${dark ? 33 + step * 2 : 82 + step * 2}%)`;
	return `hsl(${hue} ${dark ? 42 : 70}% ${dark ? 36 + step * 2 : 77 + step * 2}%)`;
}

function setColours() {
	const dark = isDark(), hues = new Map(packages.map((p) => [p.name, p.hue]));
	colours.text = dark ? "#f3f4f6" : "#15181d";
	colours.quiet = dark ? "#2b3038" : "#e9ebef";
	colours.quietText = dark ? "#9aa3af" : "#737b87";
	colours.tiny = dark ? "#3a414b" : "#d6d9df";
	colours.level = dark ? "#3d4653" : "#d3d9e2";
	colours.found = dark ? "#b0309a" : "#f08be0";
	colours.border = dark ? "#14171b" : "#ffffff";
	colours.selected = dark ? "#ffffff" : "#0b57d0";
	colours.of = fns.package.map((name, fn) => name ? shade(hues.get(name), fn, dark) : colours.level);
	colours.swatch = new Map(packages.map((p) => [p.name, shade(p.hue, 1, dark)]));
	for (let i = 0; i < HEATS; i++) {
		const t = i / (HEATS - 1);
		colours.heat[i] = dark ? `hsl(${230 - 205 * t} ${14 + 70 * t}% ${27 + 20 * t}%)`
			: `hsl(${54 - 50 * t} ${40 + 50 * t}% ${93 - 33 * t}%)`;
	}
}
