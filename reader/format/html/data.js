/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The report's data, as typed arrays. docs/formats.md describes what stands in the page. */
"use strict";
performance.mark("pyshim-begin");

const report = JSON.parse(document.getElementById("data").textContent);

/* Numbers of seven bits a byte, in base64. The first `before` elements stay 0. */
function column(text, before = 0) {
	const bytes = atob(text), all = new Float64Array(bytes.length + before);
	let n = before, value = 0, unit = 1;
	for (let i = 0; i < bytes.length; i++) {
		const byte = bytes.charCodeAt(i);
		value += (byte & 127) * unit;
		unit *= 128;
		if (byte > 127)
			continue;
		all[n++] = value;
		value = 0;
		unit = 1;
	}
	return all.slice(0, n);
}

function columns(of, names, before) {
	const all = {};
	for (const name of names)
		all[name] = column(of[name], before);
	return all;
}

const NUMBERS = ["calls", "primitive", "exceptions", "self", "total", "self_overhead", "total_overhead"];
const SECOND = 1e9;

/* --- functions ---------------------------------------------------------------------------------- */

const fns = { ...report.functions, ...columns(report.functions, [...NUMBERS, "file"]) };
fns.n = fns.name.length;

/* Control characters would be invisible or break lines. */
const printable = (text) => text.replace(/[\0-\x1f\x7f]/g,
	(c) => String.fromCharCode(c === "\x7f" ? 0x2421 : 0x2400 + c.charCodeAt(0)));

const fileOf = (fn) => fns.files[fns.file[fn]];
const isC = (fn) => fileOf(fn) === "~" && fns.line[fn] === 0;
const nameOf = (fn) => fns.qualname[fn] || fns.name[fn];
const levels = new Set();

function makeLabel(fn) {
	const name = report.qualnames ? nameOf(fn) : fns.name[fn];
	if (levels.has(fn))
		return name;
	if (isC(fn))
		return name.startsWith("<") && name.endsWith(">") ? `{${name.slice(1, -1)}}` : name;
	return `${fileOf(fn)}:${fns.line[fn]}(${name})`;
}

/* json/__init__.py, app.py */
function tailOf(file) {
	return /([^/]+\/)?__init__\.py$/.exec(file)?.[0] ?? file.replace(/^.*\//, "");
}

/* "built-in method math.sqrt" -> "math.sqrt", "method 'append' of 'list' objects" -> "list.append" */
function shortName(fn) {
	if (levels.has(fn) || !isC(fn))
		return printable(nameOf(fn) === "<module>" ? `<module> ${tailOf(fileOf(fn))}` : nameOf(fn));
	const name = fns.name[fn].replace(/^<(.*)>$/, "$1"), method = /^method '(.*)' of '(.*)' objects$/.exec(name);
	return printable(method ? `${method[2]}.${method[1]}` : name.replace(/^built-in method (builtins\.)?/, ""));
}

/* --- calling contexts --------------------------------------------------------------------------- */

/* In preorder: the subtree of a node is n .. end[n] - 1. Node 0 is the root of all. */
const nodes = columns(report.nodes, ["depth", "fn", "calls", "self", "overhead", "flags"], 1);
nodes.n = nodes.depth.length;
nodes.fn = Int32Array.from(nodes.fn);
nodes.fn[0] = -1;
nodes.depth = Int32Array.from(nodes.depth);

function link() {
	const parent = new Int32Array(nodes.n), end = new Int32Array(nodes.n), at = [0];
	let deepest = 0;
	for (let n = 1; n < nodes.n; n++) {
		const depth = nodes.depth[n];
		at[depth] = n;
		parent[n] = at[depth - 1];
		deepest = Math.max(deepest, depth);
		if (nodes.flags[n] & 2)
			levels.add(nodes.fn[n]);
	}
	for (let n = nodes.n - 1; n >= 0; n--) {
		end[n] = Math.max(end[n], n + 1);
		end[parent[n]] = Math.max(end[parent[n]], end[n]);
	}
	Object.assign(nodes, { parent, end, deepest });
}
link();

fns.label = fns.name.map((_, fn) => printable(makeLabel(fn)));
fns.short = fns.name.map((_, fn) => shortName(fn));

/* The weight of a node without those below it. */
const OWN = { time: (n) => nodes.self[n], raw: (n) => nodes.self[n] + nodes.overhead[n], calls: (n) => nodes.calls[n] };
const measured = {};

/* For each node its weight with all below it, and where it begins, from 0 to the weight of all. */
function measure(name) {
	if (measured[name])
		return measured[name];
	const total = new Float64Array(nodes.n), start = new Float64Array(nodes.n), next = new Float64Array(nodes.n);
	for (let n = nodes.n - 1; n >= 0; n--) {
		total[n] += OWN[name](n);
		if (n)
			total[nodes.parent[n]] += total[n];
	}
	for (let n = 1; n < nodes.n; n++) {
		const parent = nodes.parent[n];
		start[n] = next[n] = next[parent];
		next[parent] += total[n];
	}
	return measured[name] = { name, total, start, all: total[0] };
}

/* A path from the folder on that was searched for modules. */
function shortFile(fn) {
	return fileOf(fn).replace(/^.*\/(?:site-packages|dist-packages|python\d\.\d+)\//, "");
}

const nodeName = (n) => n ? fns.short[nodes.fn[n]] : "all";
const nodeLabel = (n) => n ? fns.label[nodes.fn[n]] : "all";
const isOpen = (n) => nodes.flags[n] & 1;

function pathTo(n) {
	const path = [n];
	while (n)
		path.unshift(n = nodes.parent[n]);
	return path;
}

function childrenOf(n) {
	const all = [];
	for (let child = n + 1; child < nodes.end[n]; child = nodes.end[child])
		all.push(child);
	return all;
}
